// Taking the time of several programs on one machine, in alternation, so that what disturbs the machine
// disturbs all of them.

/** A program whose time is taken. */
export interface Contestant {
  /** Runs for about `milliseconds`, at least once; gives the shortest time of one run, in milliseconds. */
  turn(milliseconds: number): Promise<number>;
  /** What the last run computed, to compare programs that do the same. */
  readonly output?: () => Promise<Float32Array>;
  /** Most bytes that its process had in memory so far; undefined if nobody knows. */
  readonly peakMemory?: () => Promise<number | undefined>;
}

/** How long a turn is, in milliseconds. */
const TURN = 200;
/** Pause before a turn, in milliseconds: idle threads of the one before spin for a while. */
const PAUSE = 30;

/** Makes a contestant of a function of this process. */
export function contestant(
  run: () => unknown,
  output?: () => Promise<Float32Array>,
): Contestant {
  return { turn: (milliseconds) => bestTime(run, milliseconds), ...(output && { output }) };
}

/** Calls `run` for about `milliseconds`; the shortest time of a call, in milliseconds. */
export async function bestTime(run: () => unknown, milliseconds: number): Promise<number> {
  const end = performance.now() + milliseconds;
  let best = Infinity;
  do {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  } while (performance.now() < end);
  return best;
}

/** The shortest time of each contestant in some rounds of turns, after one that does not count. */
export async function race(contestants: readonly Contestant[], rounds: number): Promise<number[]> {
  const best = contestants.map(() => Infinity);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, contestant] of contestants.entries()) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      const time = await contestant.turn(TURN);
      if (round > 0) best[i] = Math.min(best[i]!, time);
    }
  }
  return best;
}

/** The largest difference of two results. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare results of ${a.length} and ${b.length} numbers`);
  }
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
