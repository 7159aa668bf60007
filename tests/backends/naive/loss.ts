// The terms of the diffusion loss, written to be read: float64 inside, rounded to float32 when stored.

import { SCHEDULE_COLUMNS } from "../../../src/backends/backend.ts";
import type { DiffusionLossInputs } from "../../../src/backends/recording.ts";
import { type Floats, type Naive, store } from "./arrays.ts";
import { slopeOf } from "./gradients.ts";
import { posteriorOfPixel } from "./sampling.ts";

/** Small, as slopes end where probabilities pass 1. */
const STEP = 2 ** -20;

/** KL, NLL and −log p(x_0) of each pixel: (batch, pixels, 3). */
export function diffusionLoss(inputs: DiffusionLossInputs<Naive>, y: Floats): void {
  const pixels = pixelsOf(inputs);
  store(y, Float32Array.from(pixels.flatMap(({ logProbs, terms }) => terms(logProbs))));
}

/** Gradient of the sum of the terms, weighted by dy, by each log p(x_0). */
export function diffusionLossGradient(
  inputs: DiffusionLossInputs<Naive>,
  dy: Floats,
  dx: Floats,
): void {
  const out = pixelsOf(inputs).flatMap(({ logProbs, terms }, pixel) => {
    const weights = dy.values.subarray(3 * pixel, 3 * pixel + 3);
    const loss = (logProbs: Float64Array) =>
      terms(logProbs).reduce((sum, term, i) => sum + weights[i]! * term, 0);
    return [...logProbs.map((value, k) => slopeOf((x) => loss(logProbs.with(k, x)), value, STEP))];
  });
  store(dx, Float32Array.from(out));
}

/** A pixel: its prediction, and the terms of the loss for any prediction. */
interface Pixel {
  readonly logProbs: Float64Array;
  readonly terms: (logProbs: Float64Array) => [kl: number, nll: number, auxiliary: number];
}

function pixelsOf(inputs: DiffusionLossInputs<Naive>): Pixel[] {
  const { schedule, row, pixels, lastRow } = inputs;
  const count = inputs.classes - 1;
  const width = SCHEDULE_COLUMNS.length;
  const rowAt = (t: number) => schedule.values.subarray(t * width, (t + 1) * width);
  return Array.from(inputs.xt.values, (xt, pixel) => {
    const t = row.values[Math.floor(pixel / pixels)]!;
    const [now, before] = [rowAt(t), rowAt(t === 0 ? lastRow : t - 1)];
    const posterior = (logProbs: Float64Array) =>
      posteriorOfPixel(logProbs, xt, now, before).map(clamp);
    const x0 = inputs.x0.values[pixel]!;
    const oneHot = Float64Array.from({ length: count }, (_, k) => k === x0 ? 0 : Math.log(1e-30));
    const truth = posterior(oneHot);
    return {
      logProbs: Float64Array.from(
        inputs.logProbs.values.subarray(pixel * count, (pixel + 1) * count),
      ),
      terms: (logProbs) => {
        const clamped = logProbs.map(clamp);
        const model = posterior(clamped);
        const kl = truth.reduce((sum, p, k) => sum + Math.exp(p) * (p - model[k]!), 0);
        return [kl, -model[x0]!, -clamped[x0]!];
      },
    };
  });
}

function clamp(x: number): number {
  return Math.min(Math.max(x, -70), 0);
}
