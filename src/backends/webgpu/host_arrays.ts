/**
 * Arrays of checkpoints in the forms that kernels read.
 *
 * @module
 */

import type { HostArray, WeightDType } from "../backend.ts";

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

/** How weights are held if nothing else is asked for: as they are stored. */
export function defaultDType(weights: readonly HostArray[]): WeightDType {
  if (weights.every(({ dtype }) => dtype === "i8")) return "q8";
  return weights.every(({ dtype }) => dtype === "f16") ? "fp16" : "fp32";
}

/** The values in float32: the data itself if they are float32 already, else a new array. */
export function float32Values(array: HostArray): Float32Array {
  switch (array.dtype) {
    case "f32":
      return array.data;
    case "f16": {
      const { buffer, byteOffset, length } = array.data;
      return Float32Array.from(new Float16Array(buffer as ArrayBuffer, byteOffset, length));
    }
    case "bf16": {
      const bits = Uint32Array.from(array.data, (value) => value << 16);
      return new Float32Array(bits.buffer);
    }
    case "i8": {
      const { data, scale } = array;
      const columns = data.length / Math.max(1, scale.length);
      return Float32Array.from(data, (value, i) => value * scale[Math.floor(i / columns)]!);
    }
  }
}

/** Rows of float32. */
export function packFloat32(array: HostArray, columns: number): PackedRows {
  return filledRows(float32Values(array), columns);
}

/** Rows of float16, rounded to nearest. */
export function packFloat16(array: HostArray, columns: number): PackedRows {
  const bits = array.dtype === "f16"
    ? array.data
    : new Uint16Array(Float16Array.from(float32Values(array)).buffer);
  return filledRows(bits, columns);
}

/** Rows of int8 with one scale each: as stored, or the largest magnitude of a row becomes ±127. */
export function packInt8(array: HostArray, columns: number): PackedRows {
  if (array.dtype === "i8") return { ...filledRows(array.data, columns), scale: array.scale };
  const values = float32Values(array);
  const rows = values.length / columns;
  const data = new Int8Array(values.length);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * columns;
    let largest = 0;
    for (let i = first; i < first + columns; i++) {
      largest = Math.max(largest, Math.abs(values[i]!));
    }
    scale[row] = largest / 127;
    const factor = largest > 0 ? 127 / largest : 0;
    for (let i = first; i < first + columns; i++) data[i] = Math.round(values[i]! * factor);
  }
  return { ...filledRows(data, columns), scale };
}

function filledRows(
  values: Float32Array | Uint16Array | Int8Array,
  columns: number,
): PackedRows {
  const rows = values.length / columns;
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
