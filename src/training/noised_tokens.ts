/**
 * The forward process: tokens with noise.
 *
 * @module
 */

import type { NoiseSchedules } from "../schedulers/noise_schedules.ts";

/** Arguments of {@linkcode noisedTokens}. */
export interface NoisedTokensInputs {
  /** Images (batch, pixels), ids 0 … classes − 2. */
  readonly x0: Int32Array;
  /** (batch): the timestep of each image. */
  readonly timesteps: Int32Array;
  /** Uniform numbers in [0, 1), (batch, classes, pixels). */
  readonly noise: Float32Array;
  /** Number of classes, the last being the mask. */
  readonly classes: number;
}

/**
 * Draws x_t from q(x_t | x_0) (Gu et al., arXiv 2111.14822, equation 8), as Microsoft's `q_sample` does: by
 * Gumbel noise −log(−log(u + 1e-30) + 1e-30) on the logarithms, of which the largest wins.
 *
 * @returns (batch, pixels), ids 0 … classes − 1.
 */
export function noisedTokens(
  schedules: NoiseSchedules,
  { x0, timesteps, noise, classes }: NoisedTokensInputs,
): Int32Array<ArrayBuffer> {
  const pixels = x0.length / timesteps.length;
  return Int32Array.from(x0, (token, i) => {
    const image = Math.floor(i / pixels);
    const t = timesteps[image]!;
    const replaced = schedules.logCumprodBt[t]!;
    const kept = Math.log(Math.exp(schedules.logCumprodAt[t]!) + Math.exp(replaced));
    const masked = schedules.logCumprodCt[t]!;
    const first = image * classes * pixels + i % pixels;
    // Of classes with the same logarithm the one with the largest number wins.
    let [other, most] = [-1, -1];
    for (let k = 0; k < classes - 1; k++) {
      const u = noise[first + k * pixels]!;
      if (u > most && k !== token) [other, most] = [k, u];
    }
    const score = (k: number, logit: number) =>
      logit - Math.log(-Math.log(noise[first + k * pixels]! + 1e-30) + 1e-30);
    let [best, drawn] = [score(token, kept), token];
    const consider = (k: number, logit: number) => {
      const own = score(k, logit);
      // The first of equals.
      if (own > best || own === best && k < drawn) [best, drawn] = [own, k];
    };
    if (other >= 0) consider(other, replaced);
    consider(classes - 1, masked);
    return drawn;
  });
}
