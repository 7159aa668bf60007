/**
 * Lists of any length, sorted in parts.
 *
 * @module
 */

import type { Steps } from "./pauses.ts";

/** Items that are sorted or merged at once. */
const PART = 2 ** 13;

/**
 * The items in an order: parts of the list are sorted, and merged in pairs.
 *
 * @param compare As `Array.prototype.sort` takes it; items that it finds equal keep their order.
 */
export function* sorted<T>(items: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  let runs: T[][] = [];
  for (let i = 0; i < items.length; i += PART) {
    runs.push(items.slice(i, i + PART).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const longer: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      longer.push(yield* merged(runs[i]!, runs[i + 1] ?? [], compare));
    }
    runs = longer;
  }
  return runs[0] ?? [];
}

function* merged<T>(a: T[], b: T[], compare: (a: T, b: T) => number): Steps<T[]> {
  const all: T[] = [];
  for (let [i, j] = [0, 0]; i < a.length || j < b.length;) {
    if (all.length % PART === 0) yield;
    const isFirst = j >= b.length || i < a.length && compare(a[i]!, b[j]!) <= 0;
    all.push(isFirst ? a[i++]! : b[j++]!);
  }
  return all;
}
