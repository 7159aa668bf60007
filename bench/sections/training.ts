// A step of training of the embedded model's transformer: forward and backward pass, AdamW, averages.

import { type Bench, type Entry, measure, type Setting } from "../bench.ts";
import { peerEntries } from "../peers/peer_entries.ts";
import { PeerProcess } from "../peers/peer_process.ts";
import { trainingTask, trainingWork } from "../training_task.ts";

const CHILD = new URL("training_child.ts", import.meta.url).href;

/** Images of a batch. */
const BATCHES = [16, 64];
/** Rounds of a quick run. */
const QUICK_ROUNDS = 2;

/** Measures time and memory; ours, too, runs in a process of its own. */
export async function training(bench: Bench): Promise<void> {
  const { table, runs, quick } = bench;
  for (const images of BATCHES) {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "vq-diffusion-bench-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const ours: Entry[] = [];
    for (const setting of bench.settings) {
      for (const recompute of [false, true]) {
        ours.push(await ourEntry(setting, images, { folder, recompute }, stack));
      }
    }
    const peers = await peerEntries(bench, await trainingTask(images), stack);
    const rounds = quick ? Math.min(runs, QUICK_ROUNDS) : runs;
    const what = `training: small model, batch ${images}`;
    await measure({ table, runs: rounds }, what, trainingWork(images), [...ours, ...peers]);
  }
}

async function ourEntry(
  setting: Setting,
  images: number,
  { folder, recompute }: { readonly folder: string; readonly recompute: boolean },
  stack: AsyncDisposableStack,
): Promise<Entry> {
  const { simd, threads } = setting;
  const command = [Deno.execPath(), "run", "--allow-all", CHILD, folder, images, simd, threads];
  const how = recompute ? ["recompute"] : [];
  const process = await PeerProcess.start("our training", [...command, ...how].map(String), folder);
  const by = recompute ? "ours, recompute" : "ours";
  return { contestant: stack.use(process), by, setting, dtype: "fp32", threads };
}
