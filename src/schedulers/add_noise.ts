/**
 * The noise of the training: tokens as they are at a timestep.
 *
 * @module
 */

import type { RandomGenerator } from "../random/random_generator.ts";
import type { NoiseSchedules } from "./noise_schedules.ts";
import type { NoiseSizes } from "./scheduler.ts";

/** What keeps logarithms finite, as in the reference. */
const TINY = 1e-30;

/** What {@linkcode addNoise} depends on beside the tokens. */
export interface AddNoiseOptions {
  /** Probabilities up to each timestep. */
  readonly schedules: Pick<NoiseSchedules, "logCumprodAt" | "logCumprodBt" | "logCumprodCt">;
  /** The class of masked tokens, the last one. */
  readonly maskClass: number;
  /** Number of images and their tokens. */
  readonly sizes: NoiseSizes;
  /** Where the random numbers come from. */
  readonly generator: RandomGenerator;
}

/**
 * Draws x_t from q(x_t | x_0) (equation 8 of Gu et al.): a token is kept with probability ᾱ_t + β̄_t,
 * masked with γ̄_t and replaced by each of the other classes with β̄_t. As in Microsoft's `q_sample` one
 * uniform number u is drawn for each class of a token, in the order (batch, classes, pixels), and the
 * class of the greatest log q − log(−log u) is taken.
 *
 * @param tokens x_0 (batch · pixels). Those that are masked stay so.
 * @param t Timestep of the training.
 * @returns x_t (batch · pixels).
 */
export function addNoise(tokens: Int32Array, t: number, options: AddNoiseOptions): Int32Array {
  const { schedules, maskClass, sizes: { batch, pixels }, generator } = options;
  const replaced = schedules.logCumprodBt[t]!;
  const kept = Math.log(Math.exp(schedules.logCumprodAt[t]!) + Math.exp(replaced));
  const masked = schedules.logCumprodCt[t]!;
  const noised = new Int32Array(batch * pixels);
  const classes = maskClass + 1;
  const numbers = new Float32Array(batch * classes * pixels);
  generator.fill(numbers);
  for (let first = 0; first < noised.length; first += pixels) {
    const clean = tokens.subarray(first, first + pixels);
    const drawn = noised.subarray(first, first + pixels);
    const best = new Float64Array(pixels).fill(-Infinity);
    // Among the classes that replace, the greatest number wins: log q is the same for all.
    const bestOther = new Float64Array(pixels).fill(-1);
    const other = new Int32Array(pixels);
    for (let k = 0; k < classes; k++) {
      const start = first * classes + k * pixels;
      const uniform = numbers.subarray(start, start + pixels);
      for (let i = 0; i < pixels; i++) {
        const isOther = k !== clean[i] && k !== maskClass;
        if (isOther && uniform[i]! > bestOther[i]!) {
          bestOther[i] = uniform[i]!;
          other[i] = k;
        }
        if (isOther) continue;
        const score = (k === maskClass ? masked : kept) + gumbel(uniform[i]!);
        if (score > best[i]!) {
          best[i] = score;
          drawn[i] = k;
        }
      }
    }
    for (let i = 0; i < pixels; i++) {
      if (clean[i] === maskClass) drawn[i] = maskClass;
      else if (replaced + gumbel(bestOther[i]!) > best[i]!) drawn[i] = other[i]!;
    }
  }
  return noised;
}

/** Gumbel noise of a uniform number. */
function gumbel(uniform: number): number {
  return -Math.log(-Math.log(uniform + TINY) + TINY);
}
