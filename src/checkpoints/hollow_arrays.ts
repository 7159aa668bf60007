/**
 * A checkpoint without its numbers.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import { hostDType } from "../base/dtypes.ts";
import type { ArraySource } from "./arrays.ts";

/**
 * The arrays of a checkpoint as they are, but without elements, for backends that only count memory: the
 * checkpoint is not read. Closing it leaves the checkpoint open.
 */
export function hollowArrays(source: ArraySource): ArraySource {
  return {
    description: source.description,
    names: () => source.names(),
    shape: (name) => source.shape(name),
    dtype: (name) => source.dtype(name),
    load: (name) => Promise.resolve(hollowArray(source, name)),
    loadStored: (name) => source.loadStored(name),
    release: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function hollowArray(source: ArraySource, name: string): HostArray {
  const shape = source.shape(name);
  // Loading in earnest refuses what is no number.
  const dtype = hostDType(source.dtype(name)) ?? "f32";
  if (shape === undefined) {
    throw new RangeError(`Cannot load ${name}: ${source.description} has no such array`);
  }
  switch (dtype) {
    case "f32":
      return { dtype, shape, data: new Float32Array() };
    case "i8":
      return { dtype, shape, data: new Int8Array(), scale: new Float32Array() };
    default:
      return { dtype, shape, data: new Uint16Array() };
  }
}
