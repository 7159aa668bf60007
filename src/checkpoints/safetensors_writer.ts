/**
 * Writing safetensors files, array by array.
 *
 * @module
 */

import { elementCount, STORED_DTYPES, type StoredArray, type StoredDType } from "./arrays.ts";

/** An array to be written: what it is, and how to get its bytes when its turn comes. */
export interface ArrayToWrite {
  /** Name in the file. */
  readonly name: string;
  /** Element type. */
  readonly dtype: StoredDType;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Gives the elements, dense, row-major and little-endian. */
  bytes(): Uint8Array | Promise<Uint8Array>;
}

/** Takes the next bytes of a file. They are not used again after the promise is fulfilled. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

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
  const sorted = inFileOrder(arrays);
  await sink(encodeHeader(sorted, metadata));
  for (const array of sorted) await sink(checkedBytes(array, await array.bytes()));
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
  const sorted = inFileOrder(
    Array.from(contents, ([name, { dtype, shape, bytes }]) => ({
      name,
      dtype,
      shape,
      bytes: () => bytes,
    })),
  );
  const chunks = [encodeHeader(sorted, metadata)];
  for (const array of sorted) chunks.push(checkedBytes(array, array.bytes()));
  const file = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    file.set(chunk, offset);
    offset += chunk.length;
  }
  return file;
}

function inFileOrder<A extends ArrayToWrite>(arrays: Iterable<A>): A[] {
  return [...arrays].sort((a, b) =>
    STORED_DTYPES[b.dtype] - STORED_DTYPES[a.dtype] ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}

function encodeHeader(
  arrays: readonly ArrayToWrite[],
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

function byteLength({ name, dtype, shape }: ArrayToWrite): number {
  const length = elementCount(shape) * STORED_DTYPES[dtype];
  if (!Number.isSafeInteger(length)) {
    throw new RangeError(`Cannot write ${name}: its shape (${shape}) is not valid`);
  }
  return length;
}

function checkedBytes(array: ArrayToWrite, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== byteLength(array)) {
    throw new RangeError(
      `Cannot write ${array.name}: ${bytes.length} bytes do not fill its shape (${array.shape})`,
    );
  }
  return bytes;
}
