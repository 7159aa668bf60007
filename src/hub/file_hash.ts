/**
 * Hashes of files.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";
import { type ContentHash, createHasher, describeHash } from "./hashes.ts";

/** Bytes that are hashed at a time. */
const CHUNK_BYTES = 2 ** 20;

/** Longest file of which all bytes come with the first request, whatever is read of it. */
const SMALL_BYTES = 8 * CHUNK_BYTES;

/** What is wrong with a file whose hash is known, if anything is. */
export async function hashProblem(
  file: FileSource,
  expected: ContentHash,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { size } = file;
  const hasher = createHasher(expected.algorithm, size);
  for (let done = 0; done < size; done += CHUNK_BYTES) {
    signal?.throwIfAborted();
    hasher.update(await file.read(done, Math.min(CHUNK_BYTES, size - done)));
  }
  const hex = hasher.digest();
  if (hex === expected.hex) return undefined;
  const found = describeHash({ ...expected, hex });
  return `it has ${size} bytes and the ${found}, expected ${expected.hex}`;
}

/**
 * Checks a file of a server that is so small that it is there already.
 *
 * @throws {Error} If it is not what its hash says. Then it is closed.
 */
export async function checkedIfSmall(
  file: FileSource,
  expected: ContentHash | undefined,
): Promise<FileSource> {
  if (expected === undefined || file.size > SMALL_BYTES) return file;
  const problem = await hashProblem(file, expected);
  if (problem === undefined) return file;
  await file[Symbol.asyncDispose]();
  throw new Error(`Cannot read ${file.description}: ${problem}`);
}
