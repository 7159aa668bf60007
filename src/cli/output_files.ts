/**
 * Writing files so that none is ever half there, and nobody's file is lost.
 *
 * @module
 */

import { dirname } from "node:path";
import { UsageError } from "./arguments.ts";

/**
 * Writes a file under another name and renames it when it is whole. Nothing can interrupt this process
 * in between.
 *
 * @param overwrite Whether a file that is there is replaced. Else the new one gets a number.
 * @returns The path that it has.
 */
export function writeWhole(path: string, bytes: Uint8Array, overwrite: boolean): string {
  Deno.mkdirSync(dirname(path), { recursive: true });
  const target = overwrite ? targetOf(path) : path;
  const temporary = `${target}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  let reserved: string | undefined;
  try {
    Deno.writeFileSync(temporary, bytes, { createNew: true });
    if (!overwrite) reserved = reserve(target);
    Deno.renameSync(temporary, reserved ?? target);
    return reserved ?? target;
  } catch (error) {
    removeIfThere(temporary);
    if (reserved !== undefined) removeIfThere(reserved);
    throw error;
  }
}

/** Writes all bytes to the standard output. */
export async function writeToStandardOutput(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}

/**
 * Checks that files can be made in a folder, which need not exist.
 *
 * @throws {UsageError} If not.
 */
export function expectWritable(folder: string): void {
  let existing = folder;
  while (!isThere(existing)) existing = dirname(existing);
  if (!Deno.statSync(existing).isDirectory) {
    throw new UsageError(`Cannot write to ${folder}: ${existing} is not a folder`);
  }
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: existing, prefix: ".vq-diffusion-" }));
  } catch (error) {
    throw cannotWrite(existing, error);
  }
}

/**
 * Checks that a file can be replaced if it is there.
 *
 * @throws {UsageError} If it is protected, or no file.
 */
export function expectReplaceable(path: string): void {
  if (!isThere(path)) return;
  const { isFile, mode } = Deno.statSync(path);
  if (!isFile) throw new UsageError(`Cannot replace ${path}: it is no file`);
  // To the administrator the system would allow it, but somebody has protected the file.
  if (mode !== null && (mode & 0o222) === 0) {
    throw new UsageError(`Cannot replace ${path}: it is write-protected`);
  }
  try {
    Deno.openSync(path, { write: true }).close();
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** Whether there is a folder. */
export async function isFolder(path: string): Promise<boolean> {
  return isThere(path) && (await Deno.stat(path)).isDirectory;
}

/** Whether there is anything of that name. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return false;
    throw error;
  }
}

/** Where a file goes that replaces another: behind a link, what the link leads to. */
function targetOf(path: string): string {
  return isThere(path) ? Deno.realPathSync(path) : path;
}

/** Makes an empty file of the first name that nothing has, so that no other program takes it. */
function reserve(path: string): string {
  const [, stem, extension] = /^(.*?)((?:\.tokens)?\.\w+)$/s.exec(path)!;
  for (let number = 1;; number++) {
    const candidate = number === 1 ? path : `${stem}-${number}${extension}`;
    try {
      Deno.openSync(candidate, { write: true, createNew: true }).close();
      return candidate;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function cannotWrite(path: string, error: unknown): UsageError {
  return new UsageError(`Cannot write to ${path}: ${(error as Error).message}`, { cause: error });
}
