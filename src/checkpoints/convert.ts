/**
 * Converting arrays between the types in which weights are held.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { HostArray } from "../backends/backend.ts";
import { float32Values, quantizeRows } from "../backends/host_arrays.ts";

/** Greatest float16. */
const MAX_FLOAT16 = 65504;

/**
 * An array in another type. Returns the array itself if it is of that type.
 *
 * - `"fp32"`: widened.
 * - `"fp16"`: rounded to the nearest float16, ties to even.
 * - `"q8"`: int8 with a scale for each row, as {@linkcode quantizeRows} does.
 *
 * @param name What it is, for error messages.
 * @throws {RangeError} If a value is too big for the type, or infinite or NaN for `"q8"`.
 */
export function convertArray(array: HostArray, dtype: WeightDType, name: string): HostArray {
  const { shape } = array;
  switch (dtype) {
    case "fp32":
      return array.dtype === "f32" ? array : { dtype: "f32", shape, data: float32Values(array) };
    case "fp16":
      if (array.dtype === "f16") return array;
      return { dtype: "f16", shape, data: float16Bits(float32Values(array), name) };
    case "q8":
      return quantizeRows(array, name);
  }
}

/** Bits of the nearest float16 numbers. Infinities and NaN are kept. */
function float16Bits(values: Float32Array, name: string): Uint16Array {
  const halves = Float16Array.from(values);
  for (let i = 0; i < halves.length; i++) {
    if (Math.abs(halves[i] ?? 0) === Infinity && Math.abs(values[i] ?? 0) !== Infinity) {
      throw new RangeError(
        `Cannot hold ${name} as float16: it has the value ${values[i]}, beyond ${MAX_FLOAT16}`,
      );
    }
  }
  return new Uint16Array(halves.buffer);
}
