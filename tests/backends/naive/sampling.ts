// The denoising step, written to be read: float64 inside, rounded to float32 when stored.
// Rows are pixels: log p(x0) is (batch · pixels, classes − 1).

import { type PredictStartOptions, SCHEDULE_COLUMNS } from "../../../src/backends/backend.ts";
import type { PosteriorInputs, SampleStepInputs } from "../../../src/backends/recording.ts";
import { computed, type Floats, type Naive, store } from "./arrays.ts";
import { logSumExp, mapRows } from "./rows.ts";

/** log of the zero in a one-hot vector, as the reference writes it. */
const LOG_ZERO = Math.log(1e-30);

/** Replaces the latents by the tokens of t − 1. */
export function sampleStep(inputs: SampleStepInputs<Naive>): void {
  inputs.latents.values.set(noisedLogits(inputs).map(argmax));
}

/** The logits that the tokens of t − 1 maximise: (batch · pixels, classes or classes − 1). */
export function noisedLogits(inputs: SampleStepInputs<Naive>): Float64Array[] {
  const { latents, noise, classes, pixels, guidanceScale } = inputs;
  const isLast = inputs.row.values[0] === 0;
  let p = inputs.logProbs.values;
  if (guidanceScale !== undefined) p = guide(p, classes - 1, guidanceScale);
  if (inputs.truncationRate !== undefined || inputs.topK !== undefined) {
    p = truncate(p, classes - 1, inputs).map((value) => Math.max(value, -70));
  }
  if (!isLast) {
    const logProbs = { values: p, shape: [latents.values.length, classes - 1] };
    p = computed([latents.values.length, classes], (y) => posterior({ ...inputs, logProbs }, y));
  }
  const columns = isLast ? classes - 1 : classes;
  return Array.from(latents.values, (_, row) => {
    const [image, pixel] = [Math.floor(row / pixels), row % pixels];
    return Float64Array.from({ length: columns }, (_, k) => {
      const u = noise.values[(image * columns + k) * pixels + pixel]!;
      return p[row * columns + k]! - Math.log(-Math.log(u + 1e-30) + 1e-30);
    });
  });
}

/** u + s (c − u), normalised, where the first half of the rows is u and the second c. */
export function guide(logProbs: Float32Array, columns: number, scale: number): Float32Array {
  const half = logProbs.length / 2;
  const unconditional = logProbs.subarray(0, half);
  return mapRows(unconditional, columns, (u, row) => {
    const mixed = u.map((value, k) =>
      value + scale * (logProbs[half + row * columns + k]! - value)
    );
    const total = logSumExp(mixed);
    return mixed.map((value) => value - total);
  });
}

/**
 * −∞ for all but the most probable classes, up to the one whose partial sum reaches the rate, and no more
 * than `topK`. The partial sums are rounded to float32, as in the reference, where that decides at rate 1.
 */
export function truncate(
  logProbs: Float32Array,
  columns: number,
  { truncationRate: rate = Infinity, topK = Infinity }: PredictStartOptions,
): Float32Array {
  return mapRows(logProbs, columns, (row) => {
    const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b);
    const out = new Float64Array(columns).fill(-Infinity);
    let partialSum = 0;
    for (const k of order.slice(0, topK)) {
      out[k] = row[k]!;
      partialSum += Math.fround(Math.exp(row[k]!));
      if (Math.fround(partialSum) >= Math.fround(rate)) break;
    }
    return out;
  });
}

/** log q(x_{t−1} | x_t, x_0) summed over p(x_0): (batch · pixels, classes). */
export function posterior(
  { logProbs, latents, schedule, row, classes, lastRow }: PosteriorInputs<Naive>,
  y: Floats,
): void {
  const width = SCHEDULE_COLUMNS.length;
  const rowOf = (t: number) => schedule.values.subarray(t * width, (t + 1) * width);
  const t = row.values[0]!;
  const [now, before] = [rowOf(t), rowOf(t === 0 ? lastRow : t - 1)];
  const out = new Float32Array(latents.values.length * classes);
  latents.values.forEach((token, pixel) => {
    const start = pixel * (classes - 1);
    const p = Float64Array.from(logProbs.values.subarray(start, start + classes - 1));
    out.set(posteriorOfPixel(p, token, now, before), pixel * classes);
  });
  store(y, out);
}

/** The posterior (classes) of a pixel: log p(x_0) (classes − 1), x_t, rows of the schedule at t and before. */
export function posteriorOfPixel(
  logProbs: Float64Array,
  token: number,
  now: Float32Array,
  before: Float32Array,
): Float64Array {
  const [a, b, c, cumA, cumB, cumC] = now as unknown as Six;
  const [, , , beforeA, beforeB, beforeC] = before as unknown as Six;
  const mask = logProbs.length;
  const oneHot = (k: number) => k === token ? 0 : LOG_ZERO;
  const toToken = (k: number) => token === mask ? c : logAddExp(oneHot(k) + a, b);
  const toTokenFrom0 = (k: number) => token === mask ? cumC : logAddExp(oneHot(k) + cumA, cumB);
  const q = logProbs.map((value, k) => value - toTokenFrom0(k));
  const total = logSumExp(q);
  return Float64Array.from({ length: mask + 1 }, (_, k) => {
    if (k === mask) return beforeC + oneHot(mask) + total;
    return logAddExp(q[k]! - total + beforeA, beforeB) + toToken(k) + total;
  });
}

type Six = [number, number, number, number, number, number];

/** log(eᵃ + eᵇ). */
function logAddExp(a: number, b: number): number {
  return logSumExp(Float64Array.of(a, b));
}

/** Index of the largest, the first of equals. */
function argmax(values: Float64Array): number {
  return values.reduce((best, value, k) => value > values[best]! ? k : best, 0);
}
