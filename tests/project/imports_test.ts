// The direction of imports, and what library code may import at all, by the module graph that Deno sees.

import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** Folders of src/, each with those right below it; it may import all that these lead to. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  cli: ["server"],
  server: ["pipeline"],
  pipeline: ["schedulers", "models", "tokenizers"],
  schedulers: ["checkpoints"],
  models: ["checkpoints"],
  tokenizers: ["checkpoints"],
  checkpoints: ["hub", "backends", "random", "images"],
  hub: ["files"],
  files: ["base"],
  backends: ["base"],
  random: ["base"],
  images: ["base"],
  base: [],
};

/** Library files that touch `Deno`: they are the ones that deal with the file system. */
const DENO_FILES = [
  "src/checkpoints/folders.ts",
  "src/files/disk_folder.ts",
  "src/files/folder_writer.ts",
  "src/files/require_deno.ts",
  "src/hub/disk_cache.ts",
];

const MOST_LINES = 400;

/** An import of a file: what is written there, and the file of this project that it is, if it is one. */
interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly target: string | undefined;
}

/** What is wrong with an import, or undefined if nothing is. */
function faultOf({ from, specifier, target }: Import): string | undefined {
  const folder = folderOf(from);
  if (target === undefined) {
    if (/^npm:(@[^/]+\/)?[^/@]+@\d+\.\d+\.\d+(-[\w.]+)?(\/|$)/.test(specifier)) return undefined;
    if (specifier.startsWith("node:") && folder === "cli") return undefined;
    return "neither relative nor npm: with an exact version";
  }
  if (!/^\.\.?\//.test(specifier)) return "not relative";
  if (folder === undefined) return undefined;
  const other = folderOf(target);
  if (other !== undefined) {
    if (other === folder || foldersBelow(folder).has(other)) return undefined;
    return `${folder} may not import ${other}`;
  }
  if (folder === "backends" && target.startsWith("wasm/")) return undefined;
  return `src/ may not import ${target}`;
}

/** Folders of src/ that a folder may import. */
function foldersBelow(folder: string): Set<string> {
  const direct = BELOW[folder] ?? [];
  return new Set([...direct, ...direct.flatMap((below) => [...foldersBelow(below)])]);
}

/** The folder below src/ that a file is in. */
function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

/** Path in this project of a module, if it is one. */
function pathOf(specifier: string | undefined): string | undefined {
  return specifier?.startsWith(ROOT.href) ? specifier.slice(ROOT.href.length) : undefined;
}

/** Files of this project that an entry point leads to, and all imports in them. */
async function readGraph(entry: string): Promise<{ files: string[]; imports: Import[] }> {
  const command = new Deno.Command(Deno.execPath(), {
    // Without the config, as from a URL.
    args: ["info", "--json", "--no-config", "--no-lock", new URL(entry, ROOT).href],
    stderr: "inherit",
  });
  const { modules } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
  const files: string[] = [];
  const imports: Import[] = [];
  for (const { specifier, dependencies = [] } of modules) {
    const from = pathOf(specifier);
    if (from === undefined) continue;
    files.push(from);
    for (const { specifier, code, type } of dependencies) {
      imports.push({ from, specifier, target: pathOf(code?.specifier ?? type?.specifier) });
    }
  }
  return { files, imports };
}

/** The files that import each other in a circle, types included, or lie between two circles. */
function filesInCircles(imports: readonly Import[]): string[] {
  let links = imports.filter(({ from, target }) => target !== undefined && target !== from);
  for (let before = -1; before !== links.length;) {
    before = links.length;
    const importers = new Set(links.map(({ from }) => from));
    const imported = new Set(links.map(({ target }) => target));
    links = links.filter(({ from, target }) => imported.has(from) && importers.has(target!));
  }
  return [...new Set(links.map(({ from }) => from))].sort();
}

/** Every TypeScript file below a folder. */
function sourceFiles(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return sourceFiles(`${folder}${name}/`);
    return name.endsWith(".ts") ? [folder + name] : [];
  });
}

function readSource(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

Deno.test("imports under src/ point downwards, and are relative or exact", async () => {
  const graphs = [await readGraph("mod.ts"), await readGraph("src/cli/main.ts")];
  const faults = graphs.flatMap(({ imports }) => imports)
    .map((item) => ({ ...item, fault: faultOf(item) }))
    .filter(({ fault }) => fault !== undefined)
    .map(({ from, specifier, fault }) => `${from} imports ${specifier}: ${fault}`);
  assertEquals([...new Set(faults)], []);
});

Deno.test("files do not import each other in a circle, types included", async () => {
  const graphs = [await readGraph("mod.ts"), await readGraph("src/cli/main.ts")];
  const circles = filesInCircles(graphs.flatMap(({ imports }) => imports));
  assertEquals(circles.filter((path) => folderOf(path) !== "backends"), []);
});

Deno.test("every file under src/ is used by the library or the command line", async () => {
  const graphs = [await readGraph("mod.ts"), await readGraph("src/cli/main.ts")];
  const used = new Set(graphs.flatMap(({ files }) => files));
  assertEquals(sourceFiles("src/").filter((path) => !used.has(path)), []);
});

Deno.test("library files leave Deno alone, except those of the file system", () => {
  const users = sourceFiles("src/").filter((path) => {
    const code = readSource(path).replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*/g, "");
    return folderOf(path) !== "cli" && /\bDeno\b/.test(code);
  });
  assertEquals(users.sort(), DENO_FILES);
});

Deno.test("files written by hand are not longer than 400 lines", () => {
  const files = ["src/", "asm/"].flatMap(sourceFiles);
  const long = files.filter((path) => readSource(path).split("\n").length > MOST_LINES + 1);
  assertEquals(long, []);
});

Deno.test("imports that point upwards or lack a version are found", () => {
  const fault = (from: string, specifier: string, target?: string) => {
    return faultOf({ from, specifier, target });
  };
  const model = "src/models/vq_model.ts";
  assertEquals(fault(model, "../backends/backend.ts", "src/backends/backend.ts"), undefined);
  assertEquals(fault(model, "./model.ts", "src/models/model.ts"), undefined);
  assertEquals(fault(model, "npm:@scope/thing@1.2.3/part.js"), undefined);
  assertEquals(fault("src/cli/main.ts", "node:util"), undefined);
  const neither = "neither relative nor npm: with an exact version";
  assertEquals(fault(model, "npm:thing@^1.2.3"), neither);
  assertEquals(fault(model, "npm:thing@1"), neither);
  assertEquals(fault(model, "thing"), neither);
  assertEquals(fault(model, "https://example.org/thing.ts"), neither);
  assertEquals(fault(model, "node:util"), neither);
  assertEquals(
    fault(model, "../pipeline/outputs.ts", "src/pipeline/outputs.ts"),
    "models may not import pipeline",
  );
  assertEquals(fault(model, "../../mod.ts", "mod.ts"), "src/ may not import mod.ts");
  assertEquals(fault(model, "@/backends/backend.ts", "src/backends/backend.ts"), "not relative");
});

Deno.test("circles of imports are found, and files that only lead to one are not in it", () => {
  const imports = ["a b", "b c", "c b", "c d", "d e", "f g", "g f", "h h"].map((pair) => {
    const [from = "", target] = pair.split(" ");
    return { from, specifier: "", target };
  });
  assertEquals(filesInCircles(imports), ["b", "c", "f", "g"]);
  assertEquals(filesInCircles(imports.filter(({ from }) => from !== "c" && from !== "g")), []);
});
