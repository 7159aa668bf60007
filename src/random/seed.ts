/**
 * Seeds of random numbers.
 *
 * @module
 */

/** The seeds that {@linkcode parseSeed} reads, for error messages. */
export const SEEDS = "a whole number from 0 to 2^64 - 1";

/** Draws a seed of 32 bits: `TorchGenerator` uses no more of one. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
}

/** Reads a seed that is given as text; undefined if it is not {@linkcode SEEDS}. */
export function parseSeed(text: string): bigint | undefined {
  if (!/^\+?\d{1,20}$/.test(text)) return undefined;
  const seed = BigInt(text);
  return seed < 2n ** 64n ? seed : undefined;
}
