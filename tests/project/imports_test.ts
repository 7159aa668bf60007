// The direction of imports, and what library code may import at all, by the module graph that Deno sees.

import { assertEquals } from "@std/assert";
import { circles } from "./circles.ts";

const ROOT = new URL("../../", import.meta.url);

/**
 * Folders of src/, each with those right below it; it may import all that these lead to. Folders that
 * do not exist yet have their place here, too.
 */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  cli: ["server", "training"],
  server: ["jobs"],
  jobs: ["pipeline"],
  pipeline: ["conditioning"],
  conditioning: ["schedulers", "models", "tokenizers"],
  training: ["pipeline", "autograd"],
  autograd: ["schedulers", "models"],
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

/** Folders of src/ that nothing but one file outside of them imports. */
const SEALED: Readonly<Record<string, string>> = {
  "src/backends/wasm/": "src/backends/select.ts",
  "src/backends/webgpu/": "src/backends/select.ts",
};

/** Library files that touch `Deno`: they are the ones that deal with the file system. */
const DENO_FILES = [
  "src/checkpoints/folders.ts",
  "src/files/find_file_system.ts",
];

const MOST_LINES = 400;

/** An import of a file: what is written there, and the file of this project that it is, if it is one. */
interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly target: string | undefined;
}

/** Files and the imports in them. */
interface Graph {
  readonly files: readonly string[];
  readonly imports: readonly Import[];
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
  for (const [sealed, door] of Object.entries(SEALED)) {
    if (target.startsWith(sealed) && !from.startsWith(sealed) && from !== door) {
      return `only ${door} may import ${sealed}`;
    }
  }
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

/** Files of this project that entry points lead to, and all imports in them, types included. */
async function readGraph(entries: readonly string[]): Promise<Graph> {
  const files = new Set<string>();
  const imports: Import[] = [];
  for (const entry of entries) {
    const command = new Deno.Command(Deno.execPath(), {
      // Without the config, as from a URL.
      args: ["info", "--json", "--no-config", "--no-lock", new URL(entry, ROOT).href],
      stderr: "inherit",
    });
    const { modules } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
    for (const { specifier, dependencies = [] } of modules) {
      const from = pathOf(specifier);
      if (from === undefined || files.has(from)) continue;
      files.add(from);
      for (const { specifier, code, type } of dependencies) {
        imports.push({ from, specifier, target: pathOf(code?.specifier ?? type?.specifier) });
      }
    }
  }
  return { files: [...files], imports };
}

/** What users can import, and the command line. */
function entries(): string[] {
  const { exports } = JSON.parse(readSource("deno.json"));
  const paths: string[] = typeof exports === "string" ? [exports] : Object.values(exports);
  return [...paths, "src/cli/main.ts"];
}

const graph = await readGraph(entries());

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

/** The text of a file without its comments. */
function readCode(path: string): string {
  return readSource(path).replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*/g, "");
}

Deno.test("folders under src/ have a place in the order of imports", () => {
  const folders = [...Deno.readDirSync(new URL("src/", ROOT))]
    .filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name);
  const unknown = folders.filter((name) => !Object.hasOwn(BELOW, name));
  assertEquals(unknown, [], "Add the folder to BELOW in tests/project/imports_test.ts");
});

Deno.test("imports under src/ point downwards, and are relative or exact", () => {
  const faults = graph.imports
    .map((item) => ({ ...item, fault: faultOf(item) }))
    .filter(({ fault }) => fault !== undefined)
    .map(({ from, specifier, fault }) => `${from} imports ${specifier}: ${fault}`);
  assertEquals(faults, []);
});

Deno.test("files under src/ do not import each other in circles", () => {
  const edges = graph.imports.flatMap(({ from, target }) =>
    target ? [[from, target] as const] : []
  );
  assertEquals(circles(edges), []);
});

Deno.test("every file under src/ is used by the library or the command line", () => {
  const used = new Set(graph.files);
  assertEquals(sourceFiles("src/").filter((path) => !used.has(path)), []);
});

Deno.test("library files leave Deno alone, except those of the file system", () => {
  const users = sourceFiles("src/").filter((path) => {
    return folderOf(path) !== "cli" && /\bDeno\b/.test(readCode(path));
  });
  assertEquals(users.sort(), DENO_FILES);
});

Deno.test("every Web Worker is started where its end is noticed", () => {
  // Those of Node tell of their end. What the page is bundled to is its sources again.
  const starters = ["src/", "page/"].flatMap(sourceFiles)
    .filter((path) => path !== "src/server/page_files.ts")
    .filter((path) => /\bnew (?!node\.|threads\.)[\w.]*Worker\(/.test(readCode(path)));
  assertEquals(starters, ["src/base/web_worker.ts"]);
});

Deno.test("files written by hand are not longer than 400 lines", () => {
  const folders = ["src/", "asm/", "bench/", "evaluation/", "tools/", "examples/"];
  const files = folders.flatMap(sourceFiles);
  const long = files.filter((path) => readSource(path).split("\n").length > MOST_LINES + 1);
  assertEquals(long, []);
});

Deno.test("imports that point upwards, enter a backend or have no version are found", () => {
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
  const wasm = "src/backends/wasm/wasm_backend.ts";
  assertEquals(fault("src/backends/select.ts", "./wasm/wasm_backend.ts", wasm), undefined);
  assertEquals(fault("src/backends/wasm/frame.ts", "./wasm_backend.ts", wasm), undefined);
  for (const from of [model, "mod.ts", "src/backends/evaluate.ts", "src/backends/webgpu/mod.ts"]) {
    assertEquals(
      fault(from, "./wasm_backend.ts", wasm),
      "only src/backends/select.ts may import src/backends/wasm/",
    );
  }
  assertEquals(fault(model, "../../mod.ts", "mod.ts"), "src/ may not import mod.ts");
  assertEquals(fault(model, "@/backends/backend.ts", "src/backends/backend.ts"), "not relative");
});
