/**
 * Choices in proportion to weights, as PyTorch makes them on a CPU.
 *
 * @module
 */

import type { RandomGenerator } from "./random_generator.ts";

/**
 * Draws exponential numbers, as `Tensor.exponential_` does: −log(1 − u) of uniform float64 numbers,
 * rounded to float32.
 */
export function fillExponential(generator: RandomGenerator, out: Float32Array): void {
  const uniform = new Float64Array(out.length);
  fillDouble(generator, uniform);
  for (let i = 0; i < out.length; i++) out[i] = -Math.log1p(-uniform[i]!);
}

/**
 * Fills the array with uniform float64 numbers in [0, 1): those of the generator or, if it has none, two
 * float32 numbers for each.
 */
function fillDouble(generator: RandomGenerator, out: Float64Array): void {
  if (generator.fillDouble !== undefined) return generator.fillDouble(out);
  const pairs = new Float32Array(2 * out.length);
  generator.fill(pairs);
  for (let i = 0; i < out.length; i++) out[i] = pairs[2 * i]! + pairs[2 * i + 1]! * 2 ** -24;
}

/**
 * Chooses some of several indices, in proportion to their weights and without replacement, as
 * `torch.multinomial` does: those with the greatest quotients of weight and exponential number, in
 * float32. Of equal quotients the first is chosen. What has no weight is never chosen.
 *
 * @param weights Float32 numbers from 0 on.
 * @param exponential As many numbers of {@linkcode fillExponential}.
 * @returns `count` indices, or as many as have a weight, in no particular order.
 */
export function chooseByWeight(
  weights: Float32Array,
  exponential: Float32Array,
  count: number,
): number[] {
  const quotients = weights.map((weight, i) => weight / exponential[i]!);
  return [...weights.keys()]
    .filter((i) => weights[i]! > 0)
    .sort((a, b) => quotients[a] === quotients[b] ? a - b : quotients[b]! - quotients[a]!)
    .slice(0, count);
}

/**
 * Draws indices in proportion to their weights, with replacement, as `torch.multinomial` does: for each
 * uniform float64 number the first index whose sum of weights, in float32, is as great.
 *
 * @param weights Float32 numbers from 0 on, not all 0.
 */
export function drawByWeight(
  weights: Float32Array,
  count: number,
  generator: RandomGenerator,
): number[] {
  const uniform = new Float64Array(count);
  fillDouble(generator, uniform);
  let sum = 0;
  const sums = weights.map((weight) => sum = Math.fround(sum + weight));
  const shares = sums.map((value) => value / sum);
  // No number is above the last share.
  shares[shares.length - 1] = 1;
  return [...uniform].map((u) => shares.findIndex((share) => share >= u));
}
