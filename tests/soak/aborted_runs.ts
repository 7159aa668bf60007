/**
 * Runs that are stopped at any time: the next draws as ever, and nothing stays.
 *
 * @module
 */

import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import type { TrialResult } from "./main.ts";

/** 480 aborts within a picture, on one thread and on two. */
export async function abortedRuns(scale: number): Promise<TrialResult[]> {
  const count = Math.ceil(240 * scale);
  const results: TrialResult[] = [];
  for (const threads of [1, 2]) {
    await using backend = await createWasmBackend({ threads });
    const folder = folderOf(tinyFiles());
    await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
    const options = { seed: 1, numInferenceSteps: 6, outputType: "tokens" } as const;
    const draw = async (signal?: AbortSignal) =>
      (await pipe.generate("a cat", { ...options, signal })).images[0]!.join();
    const start = performance.now();
    const expected = await draw();
    const milliseconds = performance.now() - start;
    const before = backend.memoryUse();
    let [stopped, wrong] = [0, 0];
    for (let i = 0; i < count; i++) {
      const signal = AbortSignal.timeout(Math.ceil(Math.random() * milliseconds));
      await draw(signal).catch(() => stopped++);
      if (await draw() !== expected) wrong++;
    }
    const kept = backend.memoryUse().bytes - before.bytes;
    const found = `${stopped} stopped, ${wrong} wrong pictures after, ${kept} bytes kept`;
    const passed = wrong === 0 && kept === 0;
    results.push({ trial: `aborts, ${threads} thread(s)`, count, found, passed });
  }
  return results;
}
