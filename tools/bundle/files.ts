/**
 * What lies beside the code of a bundle: types and kernels.
 *
 * @module
 */

import ts from "npm:typescript@5.9.3";
import { pathTo } from "./build.ts";

/**
 * Writes declarations: for every entry a file beside it, and those of all modules that it refers to below
 * `types/`.
 */
export async function writeTypes(
  entries: Readonly<Record<string, string>>,
  folder: string,
): Promise<void> {
  const types = `${folder}/types`;
  const program = ts.createProgram(Object.values(entries).map(pathTo), {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.dom.asynciterable.d.ts"],
    strict: true,
    allowImportingTsExtensions: true,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: pathTo("."),
    outDir: types,
  });
  const files = new Map<string, string>();
  program.emit(undefined, (path, text) => void files.set(path, text));
  // Handwritten declarations are not part of what is emitted.
  files.set(`${types}/wasm/bindings.d.ts`, await Deno.readTextFile(pathTo("wasm/bindings.d.ts")));
  for (const [path, text] of files) await writeFile(path, importJavaScript(text));
  for (const [name, file] of Object.entries(entries)) {
    const path = `./types/${file.replace(/\.ts$/, ".js")}`;
    await writeFile(`${folder}/${name}.d.ts`, `export * from ${JSON.stringify(path)};\n`);
  }
}

/** Relative imports of TypeScript as users resolve them. */
function importJavaScript(text: string): string {
  return text.replace(/(\b(?:from|import)\s*\(?\s*"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"');
}

/** Copies the compiled kernels. */
export async function copyKernels(folder: string): Promise<void> {
  for (const name of ["simd.wasm", "relaxed_simd.wasm"]) {
    await Deno.copyFile(pathTo(`wasm/${name}`), `${folder}/${name}`);
  }
}

async function writeFile(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}
