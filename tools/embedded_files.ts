// `deno task embedded`: notes lengths and hashes of weights/ in src/pipeline/embedded_files.ts.

import { sha256Of } from "../src/hub/hashes.ts";

const ROOT = new URL("../", import.meta.url);

/** The module that is written. */
export const TARGET: URL = new URL("src/pipeline/embedded_files.ts", ROOT);

/** Paths of all files of the model, without what is for people. */
function pathsIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`weights/${folder}`, ROOT))].flatMap(
    ({ name, isDirectory }) => {
      if (isDirectory) return pathsIn(`${folder}${name}/`);
      return /\.(json|txt|safetensors)$/.test(name) ? [folder + name] : [];
    },
  ).sort();
}

/** The text of the module. */
export async function makeModule(): Promise<string> {
  let entries = "";
  for (const path of pathsIn("")) {
    const bytes = await Deno.readFile(new URL(`weights/${path}`, ROOT));
    entries += `  ${JSON.stringify(path)}: [${bytes.length}, "${await sha256Of(bytes)}"],\n`;
  }
  return `// deno-fmt-ignore-file
/**
 * The files of the embedded model: what code that was imported by URL takes for them. Made of weights/ by
 * \`deno task embedded\`.
 *
 * @module
 */

import type { KnownFile } from "../hub/known_folder.ts";

/** Lengths and SHA-256 by paths. */
export const EMBEDDED_FILES: Readonly<Record<string, KnownFile>> = {
${entries}};
`;
}

if (import.meta.main) await Deno.writeTextFile(TARGET, await makeModule());
