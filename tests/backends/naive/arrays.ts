// What the naive functions compute with: values and their shape.

import type { OwnTensors } from "../../../src/backends/recording.ts";

/** An array of floats or ids. */
export interface NaiveArray<T extends Float32Array | Int32Array> {
  readonly values: T;
  readonly shape: readonly number[];
}

/** An array of floats. */
export type Floats = NaiveArray<Float32Array>;

/** An array of ids or indices. */
export type Ints = NaiveArray<Int32Array>;

/** The types of arguments that are arrays. */
export interface Naive extends OwnTensors {
  readonly floats: Floats;
  readonly ints: Ints;
}

/** Floats of a shape. */
export function floats(values: Iterable<number>, ...shape: number[]): Floats {
  return { values: Float32Array.from(values), shape };
}

/** Ids of a shape. */
export function ints(values: Iterable<number>, ...shape: number[]): Ints {
  return { values: Int32Array.from(values), shape };
}

/** What `compute` writes to an array of `shape`. */
export function computed(shape: readonly number[], compute: (y: Floats) => void): Float32Array {
  const y = floats(new Float32Array(shape.reduce((a, b) => a * b, 1)), ...shape);
  compute(y);
  return y.values;
}

/** Stores a result, or adds it to what is there. The functions find its size on their own. */
export function store(y: Floats, result: Float32Array, add = false): void {
  if (result.length !== y.values.length) {
    throw new RangeError(`${result.length} values for ${y.values.length}`);
  }
  y.values.set(add ? result.map((value, i) => value + y.values[i]!) : result);
}
