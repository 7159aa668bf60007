/**
 * Which timesteps a batch is trained on.
 *
 * @module
 */

import { checkInteger } from "../base/check.ts";
import { drawByWeight } from "../random/multinomial.ts";
import type { RandomGenerator } from "../random/random_generator.ts";

/** How often a timestep has to have been trained on before timesteps are drawn by importance. */
const LEAST_COUNT = 10;

/** Weight of the newest loss in the history. */
const NEWEST = Math.fround(0.1);
const OLDER = Math.fround(0.9);

/** Where random numbers come from: `TorchGenerator`. */
export interface RawGenerator extends RandomGenerator {
  /** The next integer from 0 to 2³² − 1. */
  random32(): number;
}

/** Timesteps of a batch. */
export interface DrawnTimesteps {
  /** One for each image. */
  readonly timesteps: Int32Array<ArrayBuffer>;
  /** The probability that it was drawn with. */
  readonly probabilities: Float64Array<ArrayBuffer>;
}

/**
 * Draws timesteps, at first uniformly, then by importance (Nichol and Dhariwal, arXiv 2102.09672, section
 * 3.3): in proportion to the root of a moving average of the squared loss. As in Microsoft's
 * `sample_time`, with the numbers that `torch.randint` and `torch.multinomial` would give.
 */
export class TimestepSampler {
  /** For each timestep the moving average of L², in float32. */
  readonly history: Float32Array<ArrayBuffer>;
  /** For each timestep, how often it was trained on. */
  readonly counts: Float32Array<ArrayBuffer>;

  /**
   * Begins without a history.
   *
   * @throws {TypeError} If it is not given a number.
   * @throws {RangeError} If that is not a whole number from 2 on.
   */
  constructor(numTrainTimesteps: number) {
    const subject = { task: "make TimestepSampler", name: "numTrainTimesteps" };
    checkInteger(subject, numTrainTimesteps, { min: 2 });
    this.history = new Float32Array(numTrainTimesteps);
    this.counts = new Float32Array(numTrainTimesteps);
  }

  /** The probability of each timestep. */
  get probabilities(): Float32Array<ArrayBuffer> {
    const steps = this.history.length;
    if (this.counts.some((count) => count <= LEAST_COUNT)) {
      return new Float32Array(steps).fill(1 / steps);
    }
    const weights = this.history.map((value) =>
      Math.fround(Math.sqrt(Math.fround(value + 1e-10))) + 1e-4
    );
    weights[0] = weights[1]!;
    const total = Math.fround(weights.reduce((sum, weight) => sum + weight, 0));
    return weights.map((weight) => weight / total);
  }

  /** Draws a timestep for each image of a batch. */
  draw(generator: RawGenerator, batch: number): DrawnTimesteps {
    const all = this.probabilities;
    const uniform = this.counts.some((count) => count <= LEAST_COUNT);
    const timesteps = uniform
      ? Int32Array.from({ length: batch }, () => generator.random32() % all.length)
      : Int32Array.from(drawByWeight(all, batch, generator));
    return { timesteps, probabilities: Float64Array.from(timesteps, (t) => all[t]!) };
  }

  /**
   * Notes the losses of a batch. Of images with the same timestep the last counts.
   *
   * @param bounds L of each image: `bounds` of a `DiffusionLoss`.
   */
  update(timesteps: Int32Array, bounds: ArrayLike<number>): void {
    const before = this.history.slice();
    timesteps.forEach((t, image) => {
      const loss = Math.fround(bounds[image]!);
      const newest = Math.fround(NEWEST * Math.fround(loss * loss));
      this.history[t] = newest + Math.fround(OLDER * before[t]!);
      this.counts[t]! += 1;
    });
  }
}
