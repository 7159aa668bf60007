/**
 * How many tokens a run of the purity sampler reveals, and when.
 *
 * @module
 */

/** The number of pixels that Microsoft's tables are made for. */
const TABLE_PIXELS = 1024;

/** Most tokens of a call that Microsoft's first table of 100 steps is for. */
const FEW_PER_CALL = 10;

/** What the numbers of tokens depend on. */
export interface RevealOptions {
  /** Number of steps, those that take several calls counted once. */
  readonly steps: number;
  /** Tokens of an image. */
  readonly pixels: number;
  /** Microsoft's `infer_speed`, below 1. Default: each step is one call. */
  readonly inferSpeed?: number | undefined;
  /** Microsoft's `n_sample`, one number for each step, the last step first. Default: theirs, or an even one. */
  readonly nSample?: readonly number[] | undefined;
}

/**
 * Most tokens that a call reveals: `prior_ps` of Microsoft's code, which counts by 1024 pixels whatever
 * the number of pixels is.
 */
export function mostPerCall(steps: number, inferSpeed: number | undefined): number {
  if (inferSpeed === undefined) return Infinity;
  return Math.floor(Math.floor(TABLE_PIXELS / steps) * inferSpeed);
}

/**
 * The calls of each step, from the last step (0), which draws every token anew, to the first.
 *
 * @returns For each step but the last the tokens that its calls reveal; none if it reveals nothing.
 */
export function revealCounts(options: RevealOptions): readonly (readonly number[])[] {
  const most = mostPerCall(options.steps, options.inferSpeed);
  const counts = options.nSample ?? tableOf(options, most);
  return counts.slice(1).map((count) => callsOf(count, most));
}

/** Cuts a number of tokens into calls; a single one that would be left goes with those before it. */
function callsOf(count: number, most: number): number[] {
  const calls: number[] = [];
  for (let left = count; left > 0; left -= calls.at(-1)!) {
    const call = Math.min(left, most);
    calls.push(left - call === 1 ? call + 1 : call);
  }
  return calls;
}

/** Microsoft's table for a number of steps, or as many tokens in each, more in the later ones. */
function tableOf({ steps, pixels }: RevealOptions, most: number): readonly number[] {
  const table = pixels === TABLE_PIXELS ? microsoftTable(steps, most) : undefined;
  if (table !== undefined) return table;
  if (steps === 1) return [pixels];
  // One token is left to the last step.
  const others = steps - 1;
  const [each, rest] = [Math.floor((pixels - 1) / others), (pixels - 1) % others];
  return [1, ...Array.from({ length: others }, (_, i) => i < rest ? each + 1 : each)];
}

/** `n_sample` of Microsoft's code. */
function microsoftTable(steps: number, most: number): readonly number[] | undefined {
  const times = (count: number, ...values: number[]) =>
    Array.from({ length: count }, () => values).flat();
  switch (steps) {
    case 100: {
      const [second, last] = most <= FEW_PER_CALL ? [6, 15] : [10, 11];
      return [1, second, ...times(32, 11, 10, 10), 11, last];
    }
    case 50:
      return [10, ...times(24, 21, 20), 30];
    case 25:
      return [21, ...times(23, 41), 60];
    case 10:
      return [69, ...times(8, 102), 139];
    default:
      return undefined;
  }
}
