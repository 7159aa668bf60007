/**
 * Reading safetensors files: whole ones in memory, and big ones array by array.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import { type ArraySource, hostArray, quantizedArray, type StoredArray } from "./arrays.ts";
import { describeValue } from "../base/check.ts";
import { atOnce, inTurns } from "../base/pauses.ts";
import {
  headerLength,
  parseHeader,
  PREFIX_BYTES,
  type SafetensorsEntry,
} from "./safetensors_header.ts";
import type { FileSource } from "../files/source.ts";

/**
 * Reads a safetensors file that lies in memory. The arrays are views of `bytes`.
 *
 * @param description What it is, for error messages.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If an element type is not supported.
 */
export function parseSafetensors(
  bytes: Uint8Array<ArrayBuffer>,
  description = "the safetensors data",
): Map<string, StoredArray> {
  const length = headerLength(bytes, bytes.length, description);
  const header = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length);
  const arrays = new Map<string, StoredArray>();
  const { entries } = atOnce(parseHeader(header, bytes.length, description));
  for (const [name, entry] of entries) {
    const { dtype, shape, offset } = entry;
    if (dtype === undefined) throw unreadableArray(name, entry, description);
    arrays.set(name, { dtype, shape, bytes: bytes.subarray(offset, offset + entry.length) });
  }
  return arrays;
}

/**
 * Opens a safetensors file: reads and checks its header, and later each array when it is asked for.
 * The file is closed with the source, and if it cannot be read.
 *
 * An int8 array `x` beside an array `x_scale` is one weight in the convention of compressed-tensors:
 * it is loaded with its scales, which are no array of their own. An array of an element type that
 * cannot be read is an error only if it is loaded.
 *
 * @throws {SyntaxError} If the file is damaged.
 */
export async function openSafetensors(file: FileSource): Promise<ArraySource> {
  try {
    const { description, size } = file;
    const prefix = await file.read(0, Math.min(PREFIX_BYTES, size));
    const header = await file.read(PREFIX_BYTES, headerLength(prefix, size, description));
    const { entries } = await inTurns(parseHeader(header, size, description));
    return new SafetensorsFile(file, entries);
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

class SafetensorsFile implements ArraySource {
  readonly #file: FileSource;
  readonly #entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly #names: readonly string[];

  constructor(file: FileSource, entries: ReadonlyMap<string, SafetensorsEntry>) {
    this.#file = file;
    this.#entries = entries;
    const scales = new Set<string>();
    for (const [name, { dtype }] of entries) if (dtype === "I8") scales.add(scaleName(name));
    this.#names = [...entries.keys()].filter((name) => !scales.has(name));
  }

  get description(): string {
    return this.#file.description;
  }

  names(): readonly string[] {
    return this.#names;
  }

  shape(name: string): readonly number[] | undefined {
    return this.#entries.get(name)?.shape;
  }

  dtype(name: string): StoredArray["dtype"] | undefined {
    return this.#entries.get(name)?.dtype;
  }

  unreadable(name: string): string | undefined {
    const entry = this.#entries.get(name);
    return entry && entry.dtype === undefined ? `it is ${describeDType(entry)}` : undefined;
  }

  async load(name: string): Promise<HostArray> {
    const array = await this.loadStored(name);
    const where = `${describeValue(name)} of ${this.description}`;
    if (array.dtype !== "I8") return hostArray(array, where);
    if (!this.#entries.has(scaleName(name))) {
      throw new TypeError(
        `Cannot load ${where}: it is int8, and there is no ${describeValue(scaleName(name))}`,
      );
    }
    return quantizedArray(array, await this.loadStored(scaleName(name)), where);
  }

  async loadStored(name: string): Promise<StoredArray> {
    const entry = this.#entries.get(name);
    if (!entry) {
      throw new RangeError(
        `Cannot load ${describeValue(name)}: ${this.description} has no such array`,
      );
    }
    const { dtype, shape, offset, length } = entry;
    if (dtype === undefined) throw unreadableArray(name, entry, this.description);
    return { dtype, shape, bytes: await this.#file.read(offset, length) };
  }

  release(): void {
    this.#file.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/** The error for an array that is loaded although its element type is not known. */
function unreadableArray(name: string, entry: SafetensorsEntry, description: string): TypeError {
  return new TypeError(
    `Cannot read ${description}: ${describeValue(name)} has the unsupported dtype ` +
      describeValue(entry.dtypeName),
  );
}

function describeDType({ dtypeName }: SafetensorsEntry): string {
  return /^\w{1,20}$/.test(dtypeName) ? dtypeName : describeValue(dtypeName);
}

/** Name of the scales of an int8 weight. */
function scaleName(name: string): string {
  return `${name}_scale`;
}
