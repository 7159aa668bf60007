// Sums of many values that change smoothly, from a few of them.

/** Pieces that the range is cut into. */
const PIECES = 4;

/** The arguments that {@linkcode sumOf} needs the values of: 1, n and evenly between. */
export function samplePoints(n: number): number[] {
  return Array.from({ length: PIECES + 1 }, (_, i) => Math.round(1 + i * (n - 1) / PIECES));
}

/**
 * f(1) + f(2) + … + f(n) by Simpson's rule and the ends' halves: for a polynomial of degree 2 all but
 * exact, which is what a pass over a prefix costs.
 *
 * @param values f at {@linkcode samplePoints}.
 */
export function sumOf(n: number, values: readonly number[]): number {
  const weights = values.map((_, i) => i === 0 || i === PIECES ? 1 : i % 2 === 1 ? 4 : 2);
  const mean = values.reduce((sum, value, i) => sum + weights[i]! * value, 0) / (3 * PIECES);
  return (n - 1) * mean + (values[0]! + values.at(-1)!) / 2;
}
