/**
 * Converting arrays between the types in which weights are held.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { HostArray } from "../backends/backend.ts";
import { inTurns, type Steps } from "../base/pauses.ts";
import { quantize, widen } from "../backends/host_arrays.ts";

/** Greatest float16. */
const MAX_FLOAT16 = 65504;

/**
 * An array in another type. Returns the array itself if it is of that type.
 *
 * - `"fp32"`: widened.
 * - `"fp16"`: rounded to the nearest float16, ties to even.
 * - `"q8"`: int8 with a scale for each row, as `quantizeRows` of the backends does.
 *
 * @param name What it is, for error messages.
 * @throws {RangeError} If a value is too big for the type, or infinite or NaN for `"q8"`.
 */
export async function convertArray(
  array: HostArray,
  dtype: WeightDType,
  name: string,
): Promise<HostArray> {
  const { shape } = array;
  switch (dtype) {
    case "fp32":
      if (array.dtype === "f32") return array;
      return { dtype: "f32", shape, data: await inTurns(widen(array)) };
    case "fp16":
      if (array.dtype === "f16") return array;
      return { dtype: "f16", shape, data: await inTurns(float16Bits(array, name)) };
    case "q8":
      return await inTurns(quantize(array, name));
  }
}

/** Values between two places where work may be interrupted: some milliseconds. */
const STEP = 2 ** 18;

/** Bits of the nearest float16 numbers. Infinities and NaN are kept. */
function* float16Bits(array: HostArray, name: string): Steps<Uint16Array> {
  const values = yield* widen(array);
  const halves = new Float16Array(values.length);
  for (let i = 0; i < halves.length; i++) {
    if (i % STEP === 0) yield;
    halves[i] = values[i]!;
    if (Math.abs(halves[i] ?? 0) === Infinity && Math.abs(values[i] ?? 0) !== Infinity) {
      throw new RangeError(
        `Cannot hold ${name} as float16: it has the value ${values[i]}, beyond ${MAX_FLOAT16}`,
      );
    }
  }
  return new Uint16Array(halves.buffer);
}
