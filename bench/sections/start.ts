// Import, load and first step of the embedded model, in a process of its own. Files and compiled sources
// are in the caches of the system and of Deno: the first process, which does not count, has read them.

import { bestSimd } from "../../src/backends/wasm/kernels.ts";
import type { Bench } from "../bench.ts";
import type { StartTimes } from "./start_child.ts";

const CHILD = new URL("start_child.ts", import.meta.url).href;

/** Measures the start on the CPU, and with the search for a GPU that comes before by default. */
export async function start({ settings, dtypes, runs, table }: Bench): Promise<void> {
  const threadCounts = new Set(settings.map(({ threads }) => threads));
  for (const device of ["wasm", "auto"]) {
    for (const threads of threadCounts) {
      for (const dtype of dtypes) {
        const times = await bestStart([device, `${threads}`, dtype], runs);
        const parts = Object.entries(times).map(([part, time]) => `${part} ${time.toFixed(0)}`);
        table.print({
          what: `start on ${device}: ${parts.join(", ")}`,
          by: "ours",
          dtype,
          simd: bestSimd(),
          threads,
          milliseconds: total(times),
        });
      }
    }
  }
}

function total(times: StartTimes): number {
  return times.import + times.load + times.step;
}

async function bestStart(args: readonly string[], runs: number): Promise<StartTimes> {
  await startOnce(args);
  let best = await startOnce(args);
  for (let run = 1; run < runs; run++) {
    const times = await startOnce(args);
    if (total(times) < total(best)) best = times;
  }
  return best;
}

async function startOnce(args: readonly string[]): Promise<StartTimes> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-read", "--no-prompt", CHILD, ...args],
  }).output();
  if (!success) throw new Error(`The start failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}
