// Measures the CPU backend, beside what others offer: see `USAGE` in options.ts.

import { createBackend } from "../src/backends/select.ts";
import { runScript } from "../tools/script.ts";
import type { Bench, Section, Setting } from "./bench.ts";
import { measureLimits } from "./limit.ts";
import { type BenchOptions, OPTIONS, readOptions, USAGE } from "./options.ts";
import { onnxPeers } from "./peers/onnx_peers.ts";
import type { Peer } from "./peers/peer.ts";
import { torchPeer } from "./peers/torch_peer.ts";
import { block } from "./sections/block.ts";
import { decode } from "./sections/decode.ts";
import { gemm } from "./sections/gemm.ts";
import { headline } from "./sections/headline.ts";
import { image } from "./sections/image.ts";
import { scheduler } from "./sections/scheduler.ts";
import { start } from "./sections/start.ts";
import { step } from "./sections/step.ts";
import { training } from "./sections/training.ts";
import { Table } from "./table.ts";

const SECTIONS: Readonly<Record<string, Section>> = {
  gemm,
  block,
  step,
  scheduler,
  decode,
  image,
  training,
  start,
  headline,
};

async function bench(options: BenchOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const settings: Setting[] = [];
  for (const simd of options.simd) {
    for (const threads of options.threads) {
      const limits = await measureLimits(simd, threads);
      const backend = stack.use(await createBackend({ device: "wasm", simd, threads }));
      settings.push({ backend, simd, threads, limits });
      console.log(
        `Limit of ${backend.device.name}: ${limits.fp32.toFixed(0)} GFLOP/s in float32, ` +
          `${limits.q8.toFixed(0)} GOP/s in int8`,
      );
    }
  }
  const peers: readonly Peer[] = [
    ...(options.peer ? await onnxPeers() : []),
    ...(options.python === undefined ? [] : [await torchPeer(options.python)]),
  ];
  const table = new Table(peers.map(({ shortName }) => shortName));
  const { dtypes, runs, quick } = options;
  const context: Bench = { settings, dtypes, runs, quick, peers, table };
  console.log(`Best of ${runs} rounds\n`);
  for (const section of options.sections) await SECTIONS[section]!(context);
}

await runScript({
  usage: USAGE,
  options: OPTIONS,
  run: (args) => bench(readOptions(args, Object.keys(SECTIONS))),
});
