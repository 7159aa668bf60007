/**
 * The file that training goes on from after it was stopped.
 *
 * @module
 */

import type { StoredDType } from "../base/dtypes.ts";
import { typedArray } from "../checkpoints/arrays.ts";
import { openFolder } from "../checkpoints/folders.ts";
import { openSafetensors } from "../checkpoints/safetensors.ts";
import { type ArrayToWrite, writeSafetensors } from "../checkpoints/safetensors_writer.ts";
import { hasCode } from "../files/file_system.ts";
import { fileSystem } from "../files/find_file_system.ts";
import { writeFolder } from "../files/folder_writer.ts";
import { joinPath } from "../files/paths.ts";
import type { StateArray, StateArrays } from "./trainer_state.ts";

/** Names of files of state: of a transformer, and of an image autoencoder before it. */
export type StateFile = "state.safetensors" | "vqvae.safetensors";

/** What is left of a file when a program is killed while it writes it. */
const LEFT_OVER = /^(state|vqvae)\.safetensors\.[0-9a-f]{8}\.tmp$/;

/** Name of the array that holds the settings, as bytes of JSON. */
const SETTINGS = "settings";

/** What a file of state holds. */
export interface SavedState {
  /** What has to be the same for training to go on. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The state of the trainer. */
  readonly arrays: StateArrays;
}

/** Whether a folder holds a state. */
export async function hasState(folder: string, file: StateFile): Promise<boolean> {
  return await isThere(joinPath(folder, file));
}

/** Whether there is a file. */
export async function isThere(path: string): Promise<boolean> {
  const disk = await fileSystem(`read ${path}`);
  try {
    return (await disk.stat(path)).isFile;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/**
 * Writes a state; the one before is there until the new one is whole.
 *
 * @throws {Error} If it cannot be written, as on a full disk.
 */
export async function writeState(
  path: string,
  file: StateFile,
  { settings, arrays }: SavedState,
): Promise<void> {
  const json = new TextEncoder().encode(JSON.stringify(settings));
  const entries = [...arrays, [SETTINGS, json] as const].map(([name, array]): ArrayToWrite => ({
    name,
    dtype: dtypeOf(array),
    shape: [array.length],
    bytes: () => new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  }));
  await using folder = await writeFolder(path);
  await folder.writeFile(file, (sink) => writeSafetensors(entries, sink, {}));
  await folder.commit();
}

/**
 * Reads the state of a folder, and removes what a killed program has left beside it.
 *
 * @throws {SyntaxError} If the file is damaged.
 */
export async function readState(path: string, name: StateFile): Promise<SavedState> {
  await removeLeftOvers(path);
  const folder = await openFolder(path);
  await using file = await openSafetensors(await folder.open(name));
  const arrays = new Map<string, StateArray>();
  let settings: SavedState["settings"] = {};
  for (const name of file.names()) {
    const array = typedArray(await file.loadStored(name));
    if (array instanceof Uint8Array && name === SETTINGS) {
      settings = Object(JSON.parse(new TextDecoder().decode(array)));
    } else if (
      array instanceof Float32Array || array instanceof Float64Array || array instanceof Uint32Array
    ) arrays.set(name, array);
  }
  return { settings, arrays };
}

/**
 * Refuses to go on from a state with other settings.
 *
 * @param mayChange Names of settings that may be others.
 * @throws {RangeError} If another one differs; it names it.
 */
export function expectSettings(
  path: string,
  found: SavedState["settings"],
  given: SavedState["settings"],
  mayChange: readonly string[] = [],
): void {
  for (const [name, value] of Object.entries(given)) {
    if (found[name] === value || mayChange.includes(name)) continue;
    throw new RangeError(
      `Cannot go on with the training in ${path}: ${name} is ${value}, expected ${
        found[name]
      } as ` +
        `when it began`,
    );
  }
}

async function removeLeftOvers(path: string): Promise<void> {
  const disk = await fileSystem(`read ${path}`);
  for await (const { name } of disk.readDir(path)) {
    if (LEFT_OVER.test(name)) await disk.remove(joinPath(path, name));
  }
}

function dtypeOf(array: StateArray | Uint8Array): StoredDType {
  if (array instanceof Float32Array) return "F32";
  if (array instanceof Float64Array) return "F64";
  return array instanceof Uint32Array ? "U32" : "U8";
}
