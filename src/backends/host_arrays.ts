/**
 * Arrays of checkpoints on their way to a device: checked, widened, quantised, rearranged.
 *
 * @module
 */

import { expectCount, refuse } from "./arguments.ts";
import type { HostArray } from "./backend.ts";
import { type WeightDType, weightDType } from "../base/dtypes.ts";
import { atOnce, type Steps } from "../base/pauses.ts";
import { formatShape } from "../base/format.ts";
import { elementCount, fitsShape } from "../base/shapes.ts";

/** How weights are held if nothing else is asked for: as they are stored. */
export function defaultDType(weights: readonly HostArray[]): WeightDType {
  return weightDType(weights.map(({ dtype }) => dtype));
}

/** Elements between two places where work on an array may be interrupted: some milliseconds. */
const STEP = 2 ** 20;

/** Ranges of at most {@linkcode STEP} elements that make up so many. */
function* ranges(length: number): Iterable<readonly [begin: number, end: number]> {
  for (let begin = 0; begin < length; begin += STEP) {
    yield [begin, Math.min(length, begin + STEP)];
  }
}

/** The values in float32: the data itself if they are float32 already, else a new array. */
export function float32Values(array: HostArray): Float32Array {
  return atOnce(widen(array));
}

/** {@linkcode float32Values} in parts. */
export function* widen(array: HostArray): Steps<Float32Array> {
  if (array.dtype === "f32") return array.data;
  const values = new Float32Array(array.data.length);
  if (array.dtype === "i8") {
    const { data, scale } = array;
    const columns = data.length / Math.max(1, scale.length);
    for (let row = 0, since = 0; row < scale.length; row++, since += columns) {
      if (since > STEP) {
        since = 0;
        yield;
      }
      const end = (row + 1) * columns;
      for (let i = row * columns; i < end; i++) values[i] = data[i]! * scale[row]!;
    }
    return values;
  }
  const { data, dtype } = array;
  const bits = new Uint32Array(values.buffer);
  for (const [begin, end] of ranges(data.length)) {
    if (begin > 0) yield;
    if (dtype === "f16") {
      const { buffer, byteOffset } = data.subarray(begin, end);
      values.set(new Float16Array(buffer as ArrayBuffer, byteOffset, end - begin), begin);
    } else for (let i = begin; i < end; i++) bits[i] = data[i]! << 16;
  }
  return values;
}

/**
 * Index of the first value that is infinite or no number, of an int8 weight that of the first such scale;
 * −1 if there is none. It takes about a millisecond for a million values.
 */
export function* firstNonFinite(array: HostArray): Steps<number> {
  if (array.dtype === "i8") return array.scale.findIndex((value) => !Number.isFinite(value));
  for (const [begin, end] of ranges(array.data.length)) {
    if (begin > 0) yield;
    const index = array.dtype === "f32"
      ? firstNonFiniteFloat(array.data.subarray(begin, end))
      : firstOfExponent(array.data.subarray(begin, end), array.dtype === "f16" ? 0x7c00 : 0x7f80);
    if (index >= 0) return begin + index;
  }
  return -1;
}

function firstNonFiniteFloat(values: Float32Array): number {
  return allFinite(values) ? -1 : values.findIndex((value) => !Number.isFinite(value));
}

/** Zero times anything finite is zero; four sums, so that none waits for the other. */
function allFinite(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - values.length % 4;
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * 0;
    b += values[i + 1]! * 0;
    c += values[i + 2]! * 0;
    d += values[i + 3]! * 0;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * 0;
  return a + b + c + d === 0;
}

/** Index of the first value whose exponent is all ones. */
function firstOfExponent(bits: Uint16Array, exponent: number): number {
  let greatest = 0;
  for (let i = 0; i < bits.length; i++) {
    const found = bits[i]! & exponent;
    if (found > greatest) greatest = found;
  }
  return greatest < exponent ? -1 : bits.findIndex((value) => (value & exponent) === exponent);
}

/**
 * A weight as int8 with one scale for each row (output channel): w ≈ scale · q, symmetric, with scale =
 * max |w| / 127, ties to even. Scales of rows of zeros are 1. In float32, as the kernels of the CPU
 * backend do it.
 *
 * @param name What it is, for error messages.
 * @throws {RangeError} If it has no rows, or a value is infinite or NaN.
 */
export function quantizeRows(array: HostArray, name: string): QuantizedArray {
  return atOnce(quantize(array, name));
}

/** A weight as int8. */
export type QuantizedArray = HostArray & { readonly dtype: "i8" };

/** {@linkcode quantizeRows} in parts. */
export function* quantize(array: HostArray, name: string): Steps<QuantizedArray> {
  if (array.dtype === "i8") return array;
  const { shape } = array;
  if (shape.length < 2) {
    throw new RangeError(
      `Cannot hold ${name} as int8: its shape is ${formatShape(shape)}, expected a matrix`,
    );
  }
  const values = yield* widen(array);
  const columns = elementCount(shape.slice(1));
  const data = new Int8Array(values.length);
  const scale = new Float32Array(shape[0]!);
  for (let row = 0, since = 0; row < scale.length; row++, since += columns) {
    if (since > STEP) {
      since = 0;
      yield;
    }
    const part = values.subarray(row * columns, (row + 1) * columns);
    const max = greatestMagnitude(part, row, name);
    scale[row] = Math.fround(max / 127) || 1;
    const inverse = max > 0 ? Math.fround(127 / max) : 0;
    for (let i = 0; i < part.length; i++) {
      const steps = roundToEven(Math.fround(part[i]! * inverse));
      data[row * columns + i] = Math.max(-127, Math.min(127, steps));
    }
  }
  return { dtype: "i8", shape, data, scale };
}

/** The greatest |w| of a row. */
function greatestMagnitude(values: Float32Array, row: number, name: string): number {
  let max = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) {
      throw new RangeError(
        `Cannot hold ${name} as int8: its row ${row} has the value ${value}, expected finite numbers`,
      );
    }
    max = Math.max(max, Math.abs(value));
  }
  return max;
}

/** The nearest integer, the even one of two, as torch.round does. */
function roundToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * A convolution's weight with the channels innermost: (out, in, taps) → (out, taps, columns).
 *
 * @param columns Channels of the result, filled up with zeros. Default: those of the weight.
 */
export function kernelChannelsLast(
  values: Float32Array,
  { outChannels, inChannels, kernelSize }: ConvSizes,
  columns = inChannels,
): Float32Array {
  const taps = kernelSize ** 2;
  if (taps === 1 && columns === inChannels) return values;
  const moved = new Float32Array(outChannels * taps * columns);
  for (let out = 0, from = 0; out < outChannels; out++) {
    for (let channel = 0; channel < inChannels; channel++) {
      for (let tap = 0; tap < taps; tap++) {
        moved[(out * taps + tap) * columns + channel] = values[from++]!;
      }
    }
  }
  return moved;
}

/**
 * Checks that an array has the values for its shape.
 *
 * @throws {RangeError} If not.
 */
export function expectArray(task: string, array: HostArray): void {
  expectCount(task, array.data.length, array.shape);
  const rows = array.shape[0] ?? 1;
  if (array.dtype === "i8" && array.scale.length !== rows) {
    refuse(task, `${rows} scales for shape ${formatShape(array.shape)}`, array.scale.length);
  }
}

/** Options of {@linkcode checkLinearWeight} and {@linkcode checkConvWeight}. */
export interface CheckWeightOptions {
  /** Whether arrays may come without their elements, as only sizes count. Default false. */
  readonly hollow?: boolean;
}

/** Sizes of a linear layer's weight. */
export interface LinearSizes {
  /** Columns of the result. */
  readonly outFeatures: number;
  /** Columns of the argument. */
  readonly inFeatures: number;
}

/**
 * Checks matrices to be joined along their rows, and their biases.
 *
 * @throws {RangeError} If they do not fit each other.
 */
export function checkLinearWeight(
  weights: readonly HostArray[],
  biases: readonly HostArray[],
  { hollow = false }: CheckWeightOptions = {},
): LinearSizes {
  const task = "pack a linear weight";
  const inFeatures = weights[0]?.shape[1] ?? 0;
  const isMatrix = ({ shape }: HostArray) =>
    fitsShape(shape, ["out", inFeatures]) || fitsShape(shape, ["out", inFeatures, 1, 1]);
  if (inFeatures < 1 || !weights.every(isMatrix)) {
    refuse(task, "matrices of one number of columns", formatShapes(weights));
  }
  const belongs = ({ shape }: HostArray, i: number) => fitsShape(shape, [weights[i]!.shape[0]!]);
  if (biases.length > 0 && (biases.length !== weights.length || !biases.every(belongs))) {
    refuse(task, `a bias for each row of ${formatShapes(weights)}`, formatShapes(biases));
  }
  if (!hollow) { for (const array of [...weights, ...biases]) expectArray(task, array); }
  return { outFeatures: weights.reduce((sum, { shape }) => sum + shape[0]!, 0), inFeatures };
}

/** Sizes of a convolution's weight. */
export interface ConvSizes {
  /** Channels of the result. */
  readonly outChannels: number;
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Side of the square kernel. */
  readonly kernelSize: number;
}

/**
 * Checks the weight (out, in, k, k) and bias (out) of a convolution.
 *
 * @throws {RangeError} If they do not fit each other, or k is neither 1 nor 3.
 */
export function checkConvWeight(
  weight: HostArray,
  bias: HostArray,
  { hollow = false }: CheckWeightOptions = {},
): ConvSizes {
  const task = "pack a convolution's weight";
  const isKernel = [1, 3].some((size) => fitsShape(weight.shape, ["out", "in", size, size]));
  if (!isKernel) refuse(task, "a weight (out, in, k, k) with k 1 or 3", weight.shape);
  const [outChannels, inChannels, kernelSize] = weight.shape as [number, number, number, number];
  if (!fitsShape(bias.shape, [outChannels])) {
    refuse(task, `a bias of shape ${formatShape([outChannels])}`, bias.shape);
  }
  if (!hollow) { for (const array of [weight, bias]) expectArray(task, array); }
  return { outChannels, inChannels, kernelSize };
}

function formatShapes(arrays: readonly HostArray[]): string {
  return arrays.map(({ shape }) => formatShape(shape)).join(", ") || "none";
}
