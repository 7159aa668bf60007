/**
 * The trials that take long: `deno task soak` runs them all and prints a table. A number scales them:
 * `deno task soak 0.1` does a tenth of each.
 *
 * @module
 */

import { abortedRuns } from "./aborted_runs.ts";
import { busyServer } from "./busy_server.ts";
import { endedThreads } from "./ended_threads.ts";
import { killedConversions } from "./killed_conversions.ts";
import { longTurns } from "./long_turns.ts";
import { manyPictures } from "./many_pictures.ts";
import { mutatedFiles } from "./mutated_files.ts";
import { startsBesideEachOther } from "./starts.ts";

/** What came of a trial. */
export interface TrialResult {
  /** What was tried. */
  readonly trial: string;
  /** How often. */
  readonly count: number;
  /** What was found, in figures. */
  readonly found: string;
  /** Whether that is as it should be. */
  readonly passed: boolean;
}

/** Tries something, `scale` times as often as usual. */
export type Trial = (scale: number) => Promise<readonly TrialResult[]>;

const TRIALS: readonly Trial[] = [
  mutatedFiles,
  manyPictures,
  abortedRuns,
  endedThreads,
  killedConversions,
  startsBesideEachOther,
  busyServer,
  longTurns,
];

if (import.meta.main) {
  const scale = Number(Deno.args[0] ?? 1);
  if (!(scale > 0)) throw new RangeError(`The scale is ${Deno.args[0]}, expected a number above 0`);
  let failed = 0;
  console.log("| Trial | Times | Found | |\n| :--- | ---: | :--- | :--- |");
  for (const trial of TRIALS) {
    for (const { trial: name, count, found, passed } of await trial(scale)) {
      if (!passed) failed++;
      console.log(`| ${name} | ${count} | ${found} | ${passed ? "passed" : "FAILED"} |`);
    }
  }
  Deno.exit(failed > 0 ? 1 : 0);
}
