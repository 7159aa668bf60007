// Means of many values, and how sure they are.

/** Sums that a mean and its error follow from, so that values can be added later. */
export interface Sums {
  /** Number of values. */
  readonly count: number;
  /** Their sum. */
  readonly sum: number;
  /** Sum of their squares. */
  readonly squares: number;
}

/** Quantile of the normal distribution for intervals of 95 %. */
const Z = 1.96;

/** No values. */
export const NO_VALUES: Sums = { count: 0, sum: 0, squares: 0 };

/** The sums with more values. */
export function addValues({ count, sum, squares }: Sums, values: readonly number[]): Sums {
  return {
    count: count + values.length,
    sum: values.reduce((total, value) => total + value, sum),
    squares: values.reduce((total, value) => total + value ** 2, squares),
  };
}

/** The mean. */
export function meanOf({ count, sum }: Sums): number {
  return sum / count;
}

/** Half of the 95 % interval of the mean, from the standard error; infinite for a single value. */
export function halfInterval({ count, sum, squares }: Sums): number {
  if (count < 2) return Infinity;
  const variance = Math.max(0, squares - sum ** 2 / count) / (count - 1);
  return Z * Math.sqrt(variance / count);
}

/**
 * The 95 % interval of a share, of values that are 0 or 1, by Wilson: unlike the standard error it says
 * something where all of them are equal.
 */
export function shareInterval({ count, sum }: Sums): [low: number, high: number] {
  const share = sum / count;
  const scale = 1 + Z ** 2 / count;
  const middle = (share + Z ** 2 / (2 * count)) / scale;
  const half = Z / scale * Math.sqrt(share * (1 - share) / count + Z ** 2 / (4 * count ** 2));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
