/**
 * Writing safetensors files, array by array.
 *
 * @module
 */

import { elementCount } from "../base/shapes.ts";
import type { ByteSink } from "../files/folder_writer.ts";
import { STORED_DTYPES, type StoredDType } from "../base/dtypes.ts";
import type { StoredArray } from "./arrays.ts";

/** What the header of a file says about an array. */
export interface ArrayHeader {
  /** Name in the file. */
  readonly name: string;
  /** Element type. */
  readonly dtype: StoredDType;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
}

/** An array to be written: what it is, and how to get its bytes when its turn comes. */
export interface ArrayToWrite extends ArrayHeader {
  /** Gives the elements, dense, row-major and little-endian. */
  bytes(): Uint8Array | Promise<Uint8Array>;
}

/** An array and its place in a file. */
export interface PlacedArray<A extends ArrayHeader> {
  /** The array. */
  readonly array: A;
  /** Where its elements begin in the file. */
  readonly offset: number;
  /** How many bytes they take. */
  readonly length: number;
}

/** What a safetensors file begins with, and what follows where. */
export interface SafetensorsLayout<A extends ArrayHeader> {
  /** The first bytes of the file. */
  readonly header: Uint8Array;
  /** The arrays, which follow each other without gaps. */
  readonly entries: readonly PlacedArray<A>[];
  /** Length of the whole file. */
  readonly size: number;
}

/**
 * Writes a safetensors file holding only one array in memory at a time. Arrays are ordered as the
 * reference implementation does: those of larger elements first, then by name, so that all are aligned.
 *
 * @throws {TypeError} If two arrays have one name.
 * @throws {RangeError} If an array gives another number of bytes than its shape and type say.
 */
export async function writeSafetensors(
  arrays: Iterable<ArrayToWrite>,
  sink: ByteSink,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const { header, entries } = layoutSafetensors(arrays, metadata);
  await sink(header);
  for (const entry of entries) await sink(checkedBytes(entry, await entry.array.bytes()));
}

/**
 * A safetensors file of arrays that lie in memory.
 *
 * @throws {RangeError} If an array has another number of bytes than its shape and type say.
 */
export function encodeSafetensors(
  arrays: Iterable<readonly [name: string, array: StoredArray]>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array<ArrayBuffer> {
  const contents = new Map(arrays);
  const { header, entries, size } = layoutSafetensors(
    Array.from(contents, ([name, { dtype, shape, bytes }]) => ({ name, dtype, shape, bytes })),
    metadata,
  );
  const file = new Uint8Array(size);
  file.set(header);
  for (const entry of entries) file.set(checkedBytes(entry, entry.array.bytes), entry.offset);
  return file;
}

/**
 * Gives arrays their places in a safetensors file, in the order of the reference implementation.
 *
 * @throws {TypeError} If two arrays have one name.
 */
export function layoutSafetensors<A extends ArrayHeader>(
  arrays: Iterable<A>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): SafetensorsLayout<A> {
  const sorted = inFileOrder(arrays);
  const header = encodeHeader(sorted, metadata);
  let size = header.length;
  const entries = sorted.map((array) => {
    const [offset, length] = [size, byteLength(array)];
    size += length;
    return { array, offset, length };
  });
  return { header, entries, size };
}

function inFileOrder<A extends ArrayHeader>(arrays: Iterable<A>): A[] {
  return [...arrays].sort((a, b) =>
    STORED_DTYPES[b.dtype] - STORED_DTYPES[a.dtype] ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}

function encodeHeader(
  arrays: readonly ArrayHeader[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts: string[] = [];
  const names = new Set(["__metadata__"]);
  if (Object.keys(metadata).length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let begin = 0;
  for (const array of arrays) {
    const { name, dtype, shape } = array;
    if (names.has(name)) throw new TypeError(`Cannot write two arrays of the name ${name}`);
    names.add(name);
    const end = begin + byteLength(array);
    const entry = { dtype, shape, data_offsets: [begin, end] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return header;
}

function byteLength({ name, dtype, shape }: ArrayHeader): number {
  const length = elementCount(shape) * STORED_DTYPES[dtype];
  if (!Number.isSafeInteger(length)) {
    throw new RangeError(`Cannot write ${name}: its shape (${shape}) is not valid`);
  }
  return length;
}

function checkedBytes(
  { array: { name, shape }, length }: PlacedArray<ArrayHeader>,
  bytes: Uint8Array,
): Uint8Array {
  if (bytes.length !== length) {
    throw new RangeError(
      `Cannot write ${name}: ${bytes.length} bytes do not fill its shape (${shape})`,
    );
  }
  return bytes;
}
