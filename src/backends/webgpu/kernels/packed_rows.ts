/**
 * Rows of matrices in the forms that kernels read.
 *
 * @module
 */

import type { HostArray } from "../../backend.ts";
import { float32Values, quantizeRows } from "../../host_arrays.ts";

/** Rows of a matrix as bytes, each filled up with zeros to a multiple of four elements. */
export interface PackedRows {
  /** Number of rows. */
  readonly rows: number;
  /** Bytes of one. */
  readonly rowBytes: number;
  /** The bytes. */
  readonly values: ArrayBufferView;
  /** A factor for each row, of int8. */
  readonly scale?: Float32Array;
}

/** Rows of float32. */
export function packFloat32(array: HostArray, columns: number): PackedRows {
  return filledRows(float32Values(array), array.shape[0]!, columns);
}

/** Rows of float16, rounded to nearest. */
export function packFloat16(array: HostArray, columns: number): PackedRows {
  const bits = array.dtype === "f16"
    ? array.data
    : new Uint16Array(Float16Array.from(float32Values(array)).buffer);
  return filledRows(bits, array.shape[0]!, columns);
}

/** Rows of int8 with one scale each. */
export function packInt8(array: HostArray, columns: number): PackedRows {
  const { data, scale } = quantizeRows(array, "a weight");
  return { ...filledRows(data, array.shape[0]!, columns), scale };
}

function filledRows(
  values: Float32Array | Uint16Array | Int8Array,
  rows: number,
  columns: number,
): PackedRows {
  const filled = Math.ceil(columns / 4) * 4;
  const rowBytes = filled * values.BYTES_PER_ELEMENT;
  if (filled === columns) return { rows, rowBytes, values };
  const bytes = new Uint8Array(rows * rowBytes);
  const source = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  const stride = columns * values.BYTES_PER_ELEMENT;
  for (let row = 0; row < rows; row++) {
    bytes.set(source.subarray(row * stride, (row + 1) * stride), row * rowBytes);
  }
  return { rows, rowBytes, values: bytes };
}
