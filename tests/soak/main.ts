// The trials that take long: `deno task soak`.

import { UsageError } from "../../src/cli/arguments.ts";
import { runScript } from "../../tools/script.ts";
import { abortedRuns } from "./aborted_runs.ts";
import { busyServer } from "./busy_server.ts";
import { endedThreads } from "./ended_threads.ts";
import { killedConversions } from "./killed_conversions.ts";
import { killedDownloads } from "./killed_downloads.ts";
import { longTurns } from "./long_turns.ts";
import { killedWorkers } from "./killed_workers.ts";
import { manyPictures } from "./many_pictures.ts";
import { mutatedFiles } from "./mutated_files.ts";
import { manyStarts } from "./starts.ts";

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
  killedDownloads,
  manyStarts,
  busyServer,
  longTurns,
  killedWorkers,
];

const USAGE = `Runs the trials that take long, half an hour in all, and prints a table.

Usage: deno task soak [<scale>]

The scale, 1 if it is not given, says how often: deno task soak 0.1 does a tenth of each.`;

async function tryAll(scale: number): Promise<void> {
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

if (import.meta.main) {
  await runScript({
    usage: USAGE,
    options: {},
    positionals: true,
    run: async ({ positionals: [text = "1", ...others] }) => {
      if (others.length > 0) {
        throw new UsageError(`Unexpected argument ${JSON.stringify(others[0])}`);
      }
      const scale = Number(text);
      if (!(scale > 0 && scale < Infinity)) {
        throw new UsageError(`The scale is ${JSON.stringify(text)}, expected a number above 0`);
      }
      await tryAll(scale);
    },
  });
}
