/**
 * Arrays as files store them: a dtype, a shape and little-endian bytes.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import { float32Values } from "../backends/host_arrays.ts";
import type { StoredDType } from "../base/dtypes.ts";
import { formatShape } from "../base/format.ts";

/** An array as a file stores it: dense, row-major, little-endian. */
export interface StoredArray {
  /** Element type. */
  readonly dtype: StoredDType;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** The elements; may be a view of a larger buffer, at any alignment. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The named arrays of a checkpoint, loaded one at a time. */
export interface ArraySource extends AsyncDisposable {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** Names of all arrays. */
  names(): readonly string[];
  /** Shape of an array, or undefined if there is none of this name. */
  shape(name: string): readonly number[] | undefined;
  /**
   * Element type of an array in the file, or undefined if there is none of this name, or it cannot be
   * read.
   */
  dtype(name: string): StoredDType | undefined;
  /** Why an array cannot be read, if so, such as `it is F8_E4M3`. Not there: all can be. */
  unreadable?(name: string): string | undefined;
  /**
   * Loads one array of numbers that can be computed with.
   *
   * @throws {RangeError} If there is none of this name.
   */
  load(name: string): Promise<HostArray>;
  /**
   * Loads one array of any type, unconverted.
   *
   * @throws {RangeError} If there is none of this name.
   */
  loadStored(name: string): Promise<StoredArray>;
  /**
   * Lets go of bytes that are kept in memory only to make loading faster. The checkpoint stays open: what
   * is loaded later is read again.
   */
  release(): void;
}

/** The typed array that holds the elements of a {@linkcode StoredArray}. */
export type StoredData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

const VIEWS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/**
 * The elements as a typed array, a view where the alignment allows and else a copy. Half floats are
 * given as their bits, booleans as bytes.
 */
export function typedArray(array: StoredArray): StoredData {
  const View = VIEWS[array.dtype];
  let { bytes } = array;
  if (bytes.byteOffset % View.BYTES_PER_ELEMENT !== 0) bytes = bytes.slice();
  return new View(bytes.buffer, bytes.byteOffset, bytes.byteLength / View.BYTES_PER_ELEMENT);
}

/**
 * A stored array of floating point numbers in the form that backends take. Float64 is rounded to
 * float32.
 *
 * @param name What it is, for error messages.
 * @throws {TypeError} If it holds integers or booleans.
 */
export function hostArray(array: StoredArray, name: string): HostArray {
  const { dtype, shape } = array;
  const data = typedArray(array);
  if (dtype === "F32" && data instanceof Float32Array) return { dtype: "f32", shape, data };
  if (dtype === "F64" && data instanceof Float64Array) {
    return { dtype: "f32", shape, data: Float32Array.from(data) };
  }
  if (dtype === "F16" && data instanceof Uint16Array) return { dtype: "f16", shape, data };
  if (dtype === "BF16" && data instanceof Uint16Array) return { dtype: "bf16", shape, data };
  throw new TypeError(`Cannot load ${name}: expected floating point numbers, got ${dtype}`);
}

/**
 * An int8 weight with its scales in the form that backends take.
 *
 * @param scale One number for each row, of shape (rows) or (rows, 1).
 * @param name What it is, for error messages.
 * @throws {SyntaxError} If the scales do not fit the weight.
 */
export function quantizedArray(
  weight: StoredArray,
  scale: StoredArray,
  name: string,
): HostArray {
  const rows = weight.shape[0] ?? 0;
  const [first, ...rest] = scale.shape;
  if (weight.dtype !== "I8" || first !== rows || rest.some((length) => length !== 1)) {
    throw new SyntaxError(
      `Cannot load ${name}: expected one scale for each of its ${rows} rows, got scales of shape ${
        formatShape(scale.shape)
      }`,
    );
  }
  const data = typedArray(weight);
  const scales = float32Values(hostArray(scale, `${name}_scale`));
  if (!(data instanceof Int8Array)) throw new TypeError(`Cannot load ${name}: expected int8`);
  return { dtype: "i8", shape: weight.shape, data, scale: scales };
}
