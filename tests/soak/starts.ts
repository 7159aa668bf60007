/**
 * Processes that start beside each other with one empty cache.
 *
 * @module
 */

import { startsBesideEachOther } from "../hub/processes.ts";
import type { TrialResult } from "./main.ts";

/** 40 times four processes, with each kind of cache: how many of them draw the right picture. */
export async function manyStarts(scale: number): Promise<TrialResult[]> {
  const rounds = Math.ceil(40 * scale);
  const results: TrialResult[] = [];
  for (const [cache, onDisk] of [["a folder", true], ["the Cache API", false]] as const) {
    const { right, wrong } = await startsBesideEachOther({ rounds, onDisk });
    const count = right + wrong.length;
    const found = `${right} of ${count} draw the same`;
    const trial = `starts, four beside each other, with ${cache}`;
    results.push({ trial, count, found, passed: right === count });
  }
  return results;
}
