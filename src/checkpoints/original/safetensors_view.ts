/**
 * Arrays that are converted when they are read, in the form of a safetensors file.
 *
 * @module
 */

import { checkRange } from "../../files/paths.ts";
import type { ArraySource } from "../arrays.ts";
import { layoutSafetensors } from "../safetensors_writer.ts";
import type { FileSource } from "../../files/source.ts";
import type { ConvertedArray } from "./state_dict.ts";

/**
 * A safetensors file that exists nowhere: its header is made at once, and its arrays as they are read,
 * one at a time.
 *
 * @param source What the arrays are read from; it is closed with the file.
 * @throws {TypeError} If two arrays have one name.
 */
export function safetensorsView(
  description: string,
  arrays: readonly ConvertedArray[],
  source: ArraySource,
): FileSource {
  const { header, entries, size } = layoutSafetensors(arrays);
  const byOffset = new Map(
    entries.filter(({ length }) => length > 0).map((entry) => [entry.offset, entry]),
  );
  const read = async (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => {
    checkRange(description, size, offset, length);
    const whole = byOffset.get(offset);
    if (whole?.length === length) return (await whole.array.load()).bytes;
    const result = new Uint8Array(length);
    copyOverlap(header, 0, result, offset);
    for (const entry of entries) {
      if (entry.offset >= offset + length || entry.offset + entry.length <= offset) continue;
      copyOverlap((await entry.array.load()).bytes, entry.offset, result, offset);
    }
    return result;
  };
  return {
    description,
    size,
    read,
    release: () => source.release(),
    [Symbol.asyncDispose]: async () => await source[Symbol.asyncDispose](),
  };
}

/** Copies those bytes of a part of the file, which begins at `from`, that the result, at `to`, wants. */
function copyOverlap(part: Uint8Array, from: number, result: Uint8Array, to: number): void {
  const begin = Math.max(from, to);
  const end = Math.min(from + part.length, to + result.length);
  if (begin < end) result.set(part.subarray(begin - from, end - from), begin - to);
}
