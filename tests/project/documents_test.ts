// Documents and examples; `deno task ok` checks the types of the examples in them.

import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** Paths in a document, between backquotes or in links. */
const PATHS =
  /[`"(]((?:src|docs|weights|wasm|asm|bench|evaluation|examples|tests|tools)\/[\w./-]*)[`")]/g;

/** Files of a folder and those below it whose names end so. */
function filesIn(folder: string, extension: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return filesIn(`${folder}${name}/`, extension);
    return name.endsWith(extension) ? [folder + name] : [];
  });
}

/** Markdown files of the root and of folders that describe something. */
function documents(): string[] {
  const root = [...Deno.readDirSync(ROOT)].map(({ name }) => name);
  const folders = ["bench/", "docs/", "evaluation/", "examples/"];
  return [
    ...root.filter((name) => name.endsWith(".md")),
    ...folders.flatMap((folder) => filesIn(folder, ".md")),
  ];
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

Deno.test("no example is left out of the check of types", () => {
  const left = [...filesIn("src/", ".ts"), "mod.ts", ...documents()].filter((path) => {
    return /```(ts|tsx|js|typescript|javascript) +ignore/.test(read(path));
  });
  assertEquals(left, []);
});

Deno.test("examples can import every entry point", () => {
  const { name, exports } = JSON.parse(read("deno.json"));
  const { imports } = JSON.parse(read("tools/examples.json"));
  const entries = Object.entries(typeof exports === "string" ? { ".": exports } : exports);
  for (const [entry, path] of entries) {
    assertEquals(imports[name + entry.slice(1)], `.${path}`);
  }
});

Deno.test("the files and tasks that documents name are there", () => {
  const { tasks } = JSON.parse(read("deno.json"));
  const missing: string[] = [];
  for (const document of documents()) {
    // A change log names what was there, too.
    if (document === "CHANGELOG.md") continue;
    const text = read(document);
    for (const [, name] of text.matchAll(/\bdeno task (\w+)/g)) {
      if (!Object.hasOwn(tasks, name!)) missing.push(`${document}: task ${name}`);
    }
    for (const [, path] of text.matchAll(PATHS)) {
      if (!isThere(path!)) missing.push(`${document}: ${path}`);
    }
  }
  assertEquals(missing, []);
});

function isThere(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch {
    return false;
  }
}
