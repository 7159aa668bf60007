// A step of training that is measured: the embedded model's transformer with random weights, on one batch.

import { VQDiffusionScheduler } from "../src/schedulers/vq_diffusion_scheduler.ts";
import type { ArraySource } from "../src/checkpoints/arrays.ts";
import { scheduleRows } from "../src/schedulers/noise_schedules.ts";
import type { DiffusionBatch } from "../src/training/diffusion_loss.ts";
import { floats, integers, type PeerTask } from "./peers/peer.ts";
import {
  CONTEXT_LENGTH,
  SMALL,
  TIMESTEPS,
  transformerShapes,
  transformerWork,
  type Work,
} from "./random_transformer.ts";
import { randomNumbers, randomWeights } from "./random_weights.ts";

const { side, classes, contextLength = CONTEXT_LENGTH } = SMALL;
const PIXELS = side ** 2;

/** How the parameters are changed. */
export const TRAINING = {
  /** Of the steps whose time is taken. */
  learningRate: 1e-4,
  /**
   * Of the step whose result is compared: so large that the changes of parameters are far from what float32
   * rounds them by.
   */
  comparedLearningRate: 1,
  betas: [0.9, 0.96],
  /** Of the size of gradients, so that Adam does not make a difference of signs of what rounding makes of 0. */
  eps: 1e-3,
  weightDecay: 4.5e-2,
  maxGradNorm: 0.5,
  emaDecay: 0.99,
  auxiliaryLossWeight: 5e-4,
} as const;

/** Columns of a sequence that images are conditioned on, and its length. */
export const CONTEXT = { length: contextLength, columns: SMALL.context };

/** The parameters at the start. */
export function trainingWeights(): ArraySource {
  return randomWeights(transformerShapes(SMALL));
}

/** The embedded model's scheduler. */
export function trainingScheduler(): Promise<VQDiffusionScheduler> {
  const weights = new URL("../weights/", import.meta.url);
  return VQDiffusionScheduler.fromPretrained(weights, { subfolder: "scheduler" });
}

/** Images of which about half is masked, at timesteps from the first to nearly the last. */
export function trainingBatch(
  images: number,
): DiffusionBatch & { encoderHiddenStates: Float32Array } {
  const x0 = Int32Array.from({ length: images * PIXELS }, (_, i) => (i * 37) % (classes - 1));
  const masked = randomNumbers("masked", x0.length);
  return {
    x0,
    xt: x0.map((token, i) => masked[i]! < 0 ? classes - 1 : token),
    timesteps: Int32Array.from({ length: images }, (_, i) => Math.floor(i * TIMESTEPS / images)),
    probabilities: new Float64Array(images).fill(1 / TIMESTEPS),
    encoderHiddenStates: randomNumbers(
      "context",
      images * contextLength * SMALL.context,
      Math.sqrt(3),
    ),
  };
}

/** Products and sums of the passes forward and backward, which has twice as many. */
export function trainingWork(images: number): Work {
  const { linear, other } = transformerWork(SMALL, images);
  const width = SMALL.heads * SMALL.headDim;
  // Keys and values of the context, by whose arguments nobody asks for a gradient.
  const context = 2 * images * contextLength * SMALL.context * 2 * width * SMALL.layers;
  return { linear: 3 * linear + 2 * context, other: 3 * other };
}

/** The same for peers. */
export async function trainingTask(images: number): Promise<PeerTask> {
  const { x0, xt, timesteps, probabilities, encoderHiddenStates } = trainingBatch(images);
  const schedule = scheduleRows(await trainingScheduler());
  return {
    kind: "training",
    sizes: { ...SMALL, ...TRAINING, batch: images, contextLength },
    weights: trainingWeights(),
    inputs: [
      integers("x0", x0, [images, PIXELS]),
      integers("xt", xt, [images, PIXELS]),
      integers("timesteps", timesteps, [images]),
      floats("probabilities", Float32Array.from(probabilities), [images]),
      floats("context", encoderHiddenStates, [images, contextLength, SMALL.context]),
      floats("schedule", schedule, [TIMESTEPS + 1, schedule.length / (TIMESTEPS + 1)]),
    ],
  };
}
