/**
 * Seeds of random numbers.
 *
 * @module
 */

/**
 * A seed of random numbers: a whole number from −2⁶³ to 2⁶⁴ − 1, of which the low 32 bits count, as in
 * PyTorch; a bigint if it is above 2⁵³ − 1.
 */
export type Seed = number | bigint;

/** The seeds that {@linkcode parseSeed} reads, for error messages. */
export const SEEDS = "a whole number from 0 to 2^64 - 1";

/** Draws a seed of 32 bits: `TorchGenerator` uses no more of one. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
}

/** A seed and those that follow it; after 2⁶⁴ − 1 comes 0. */
export function followingSeeds(first: number | bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => BigInt.asUintN(64, BigInt(first) + BigInt(i)));
}

/** Reads a seed that is given as text; undefined if it is not {@linkcode SEEDS}. */
export function parseSeed(text: string): bigint | undefined {
  if (!/^\+?\d{1,20}$/.test(text)) return undefined;
  const seed = BigInt(text);
  return seed < 2n ** 64n ? seed : undefined;
}
