// What the tests of operations share: one list of operations, run on the backend under test and on
// the oracle with the same inputs, and the comparison of both.

import { assert, assertEquals } from "@std/assert";
import type { WeightDType } from "../../../src/base/dtypes.ts";
import type {
  Backend,
  ConvWeight,
  Frame,
  HostArray,
  LinearWeight,
  Tensor,
} from "../../../src/backends/backend.ts";
import { createOracle } from "../oracle_backend.ts";

/** Makes the backend under test. */
export type MakeBackend = () => Promise<Backend>;

/** Calls of operations, by name, that they have to refuse. */
export type Refusals = Readonly<Record<string, readonly ((t: Trial, frame: Frame) => unknown)[]>>;

/** Unit roundoff of float32: the relative error of one operation. */
export const ROUNDOFF = 2 ** -24;

/**
 * Error of a sum of `terms` products of numbers in −1…1, in any order of summation: the partial sums
 * are a random walk of steps of rms 1/3, so that rounding adds up to about terms/3 · ROUNDOFF / √3;
 * ten times that is beyond chance, for thousands of results, and far below a wrong term.
 */
export function sumTolerance(terms: number): number {
  return ROUNDOFF * (16 + 2 * terms);
}

/** Rows and columns of what is normalised: 1, primes, and sizes around vectors and workgroups. */
export const ROWS: readonly [number, number][] = [
  [1, 1],
  [1, 2],
  [3, 5],
  [7, 8],
  [5, 17],
  [33, 31],
  [2, 64],
  [65, 88],
  [4, 129],
  [1, 1408],
];

/** Largest differences allowed: `absolute + relative · |expected|`. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative?: number;
}

/** Reproducible numbers (Mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** In [0, 1), a multiple of 2⁻²⁴ as torch draws them. */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 8) / 2 ** 24;
  }

  /** In [low, high). */
  floats(length: number, low = -1, high = 1): Float32Array {
    return Float32Array.from({ length }, () => low + (high - low) * this.uniform());
  }

  /** In 0 … limit − 1. */
  ints(length: number, limit: number): Int32Array {
    return Int32Array.from({ length }, () => Math.floor(limit * this.uniform()));
  }
}

/** Inputs on one backend, and a frame; gives all back at the end. */
export class Trial implements Disposable {
  readonly random = new Random(1);
  readonly frame: Frame;
  readonly #owned: Disposable[] = [];

  constructor(readonly backend: Backend) {
    this.frame = this.own(backend.frame());
  }

  /** Disposes of it at the end of the trial. */
  own<T extends Disposable>(value: T): T {
    this.#owned.push(value);
    return value;
  }

  /** A tensor of given values. */
  tensor(values: Iterable<number>, ...shape: number[]): Tensor {
    return this.own(this.backend.tensor(Float32Array.from(values), shape));
  }

  /** A tensor of given ids. */
  ids(values: Iterable<number>, ...shape: number[]): Tensor<"i32"> {
    return this.own(this.backend.tensor(Int32Array.from(values), shape));
  }

  /** A tensor of numbers in −1…1. */
  floats(...shape: number[]): Tensor {
    return this.floatsIn(-1, 1, ...shape);
  }

  /** A tensor of numbers in a range. */
  floatsIn(low: number, high: number, ...shape: number[]): Tensor {
    return this.tensor(this.random.floats(product(shape), low, high), ...shape);
  }

  /** An array of numbers in −1…1 as a checkpoint holds it. */
  array(dtype: HostArray["dtype"], ...shape: number[]): HostArray {
    const values = this.random.floats(product(shape));
    switch (dtype) {
      case "f32":
        return { shape, dtype, data: values };
      case "f16":
        return { shape, dtype, data: new Uint16Array(Float16Array.from(values).buffer) };
      case "bf16": {
        const bits = new Uint32Array(values.buffer);
        return { shape, dtype, data: Uint16Array.from(bits, (word) => word >>> 16) };
      }
      case "i8":
        return {
          shape,
          dtype,
          data: Int8Array.from(values, (value) => Math.round(127 * value)),
          scale: this.random.floats(shape[0]!, 0.5 / 127, 1 / 127),
        };
    }
  }

  /** A linear weight of one or several joined matrices of `outs` rows. */
  linear(
    outs: readonly number[],
    inFeatures: number,
    options: { bias?: boolean; stored?: HostArray["dtype"]; held?: WeightDType } = {},
  ): LinearWeight {
    const { bias = true, stored = "f32", held } = options;
    const weights = outs.map((out) => this.array(stored, out, inFeatures));
    const biases = bias ? outs.map((out) => this.array("f32", out)) : [];
    return this.own(this.backend.linearWeight(weights, biases, held));
  }

  /** A convolution's weight. */
  conv(outChannels: number, inChannels: number, kernelSize: number): ConvWeight {
    const weight = this.array("f32", outChannels, inChannels, kernelSize, kernelSize);
    return this.own(this.backend.convWeight(weight, this.array("f32", outChannels)));
  }

  [Symbol.dispose](): void {
    this.#owned.toReversed().forEach((value) => value[Symbol.dispose]());
  }
}

/** Runs the same operations on the backend and on the oracle, and compares their results. */
export async function compare(
  backend: Backend,
  label: string,
  record: (trial: Trial) => Tensor | Tensor<"i32">,
  tolerance: Tolerance,
): Promise<void> {
  await using oracle = await createOracle();
  const expected = await result(oracle, record);
  const actual = await result(backend, record);
  assertEquals(actual.shape, expected.shape, `${label}: shape`);
  assertEquals(actual.dtype, expected.dtype, `${label}: type`);
  assertClose(actual.data, expected.data, tolerance, label);
}

/** Records, runs and reads; all memory is given back. */
export async function result(
  backend: Backend,
  record: (trial: Trial) => Tensor | Tensor<"i32">,
): Promise<{ shape: number[]; dtype: string; data: Float32Array | Int32Array }> {
  using trial = new Trial(backend);
  const tensor = record(trial);
  await trial.frame.run();
  return { shape: [...tensor.shape], dtype: tensor.dtype, data: await tensor.data() };
}

/** Waits until work submitted so far, and what it frees, is done. */
export async function settle(backend: Backend): Promise<void> {
  for (let i = 0; i < 3; i++) {
    using tensor = backend.tensor(Float32Array.of(0), [1]);
    await tensor.data();
  }
}

/** Fails at the largest difference, if it is beyond the tolerance; infinities have to be equal. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute, relative = 0 }: Tolerance,
  label: string,
): void {
  assertEquals(actual.length, expected.length, `${label}: length`);
  let worst = 0;
  let worstIndex = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Object.is(a, e) || a === e) continue;
    const excess = Math.abs(a - e) / (absolute + relative * Math.abs(e));
    // The negation catches NaN.
    if (!(excess <= worst)) [worst, worstIndex] = [Number.isNaN(excess) ? Infinity : excess, i];
  }
  assert(
    worst <= 1,
    `${label}: element ${worstIndex} is ${actual[worstIndex]}, expected ` +
      `${expected[worstIndex]}, ${worst.toPrecision(3)} times the tolerance`,
  );
}

/** Number of elements of a shape. */
export function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
