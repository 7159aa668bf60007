// Files that diffusers 0.40 and transformers 4.57 and 5.18 wrote, with what they give.

import { memoryFolder } from "../src/files/memory_folder.ts";
import type { ModelFolder } from "../src/files/source.ts";

/** The folder of all of them. */
export const PYTHON_FILES = new URL("./fixtures/python_files/", import.meta.url);

/** Contents by path. */
export type Files = Record<string, Uint8Array<ArrayBuffer> | string>;

/** The files below one of the folders, by path. */
export function filesOf(folder: string): Record<string, Uint8Array<ArrayBuffer>> {
  const root = new URL(`${folder}/`, PYTHON_FILES);
  const files: Record<string, Uint8Array<ArrayBuffer>> = {};
  const visit = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(path, root))) {
      if (isDirectory) visit(`${path}${name}/`);
      else files[path + name] = Deno.readFileSync(new URL(path + name, root));
    }
  };
  visit("");
  return files;
}

/** Files without their folder, for one component. */
export function below(files: Files, folder: string): Files {
  const entries = Object.entries(files).filter(([path]) => path.startsWith(`${folder}/`));
  return Object.fromEntries(entries.map(([path, file]) => [path.slice(folder.length + 1), file]));
}

/** A file of JSON. */
export function jsonOf(file: Uint8Array<ArrayBuffer> | string | undefined) {
  return JSON.parse(typeof file === "string" ? file : new TextDecoder().decode(file));
}

/** A config with other values. */
export function changed(
  file: Uint8Array<ArrayBuffer> | string | undefined,
  values: Record<string, unknown>,
): string {
  return JSON.stringify({ ...jsonOf(file), ...values });
}

/** Files in memory as a folder. */
export function folderOf(files: Files): ModelFolder {
  return memoryFolder(files, "model");
}

/** The run that diffusers 0.40 made of `saved_by_today`. */
export interface ExpectedRun {
  readonly prompt: string;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly seed: number;
  readonly tokens: readonly (readonly number[])[];
  readonly image: readonly number[];
}

/** The tokens after every step and the image that diffusers gives. */
export function expectedRun(): ExpectedRun {
  return jsonOf(Deno.readFileSync(new URL("saved_by_today/expected.json", PYTHON_FILES)));
}
