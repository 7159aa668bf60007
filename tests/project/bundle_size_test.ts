// What a program loads at the start: the entry of the bundle for browsers, and what it imports statically.
//
// Every kind of JavaScript counts, except what `import()` loads later. The kernels in base64 are such:
// one of two variants of 40 kB is loaded when the first backend is made, the one that the engine accepts.

import { assert, assertEquals } from "@std/assert";
import { temporaryFolder } from "../temporary_folder.ts";

const ROOT = new URL("../../", import.meta.url);

const MOST_BYTES = 134_000;

/** Files that no program needs at its start; some are never needed by most. */
const LATER: readonly RegExp[] = [
  /^src\/hub\/(?!hub_id\.ts)/,
  /^src\/checkpoints\/torch\/(?!file_kind\.ts)/,
  /^src\/checkpoints\/original\//,
  /^src\/checkpoints\/(save_weights|safetensors_writer|convert)\.ts/,
  /^src\/checkpoints\/(tokenizer_json|sharded_weights|renamed_arrays)\.ts/,
  /^src\/models\/saved_config\.ts/,
  /^src\/tokenizers\/portable_files\.ts/,
  /^src\/files\/(folder_writer|http_|disk_)/,
  /^src\/backends\/webgpu\//,
  /imagescript/,
  /jpeg-js/,
  /^wasm\/(relaxed_)?simd\.ts/,
];

/** Runs Deno in the root of the project, and gives what it prints. */
async function deno(...args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** The files of a bundle that its entry leads to by static imports, and the entry. */
function staticChunks(folder: string, entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found;
  found.add(entry);
  const code = Deno.readTextFileSync(`${folder}/${entry}`);
  for (const [, name] of code.matchAll(/\b(?:from|import)\s*"\.\/([^"]+)"/g)) {
    staticChunks(folder, name!, found);
  }
  return found;
}

/** An import, as `deno info` describes it; one of types only has no code. */
interface Dependency {
  readonly code?: { readonly specifier: string };
  readonly isDynamic?: boolean;
}

/** The modules that an entry leads to, by their paths in the project: all, and those loaded at once. */
async function modulesOf(entry: string): Promise<{ all: string[]; atStart: string[] }> {
  const { roots, modules } = JSON.parse(await deno("info", "--json", entry));
  const dependencies = new Map<string, readonly Dependency[]>();
  for (const module of modules) dependencies.set(module.specifier, module.dependencies ?? []);
  const found = new Set<string>(roots);
  for (const specifier of found) {
    for (const { code, isDynamic } of dependencies.get(specifier) ?? []) {
      if (code && !isDynamic) found.add(code.specifier);
    }
  }
  const paths = (specifiers: Iterable<string>) =>
    Array.from(specifiers, (specifier) => specifier.replace(ROOT.href, ""));
  return { all: paths(dependencies.keys()), atStart: paths(found) };
}

Deno.test("mod.ts loads at most 134 kB of JavaScript at the start", async () => {
  await using folder = await temporaryFolder();
  const options = ["--platform", "browser", "--minify", "--code-splitting"];
  await deno("bundle", "--quiet", ...options, "--outdir", folder.path, "mod.ts");
  const chunks = staticChunks(folder.path, "mod.js");
  const all = Array.from(Deno.readDirSync(folder.path), ({ name }) => name);
  // Chunks are shared with what is loaded later, so the entry imports some; and not all.
  assert(chunks.size > 1 && chunks.size < all.length - 5, `${[...chunks]} of ${all}`);
  const sizes = Array.from(chunks, (name) => Deno.statSync(`${folder.path}/${name}`).size);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert(total <= MOST_BYTES, `it loads ${total} bytes`);
});

Deno.test("mod.ts leaves the hub, other formats, saving and WebGPU for later", async () => {
  const { all, atStart } = await modulesOf("mod.ts");
  assert(atStart.includes("src/models/transformer_2d.ts"));
  for (const pattern of LATER) {
    assert(all.some((path) => pattern.test(path)), `there is no ${pattern}`);
    assertEquals(atStart.filter((path) => pattern.test(path)), []);
  }
});
