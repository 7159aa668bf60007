/**
 * Processes that start beside each other with one empty cache.
 *
 * @module
 */

import { tinyFiles } from "../pipeline/golden_runs.ts";
import { serveHub } from "../hub/fake_hub.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import type { TrialResult } from "./main.ts";

const PIPELINE = new URL("../../src/pipeline/vq_diffusion_pipeline.ts", import.meta.url);

/** 40 times four processes that load one model of a hub: how many of them draw the right picture. */
export async function startsBesideEachOther(scale: number): Promise<TrialResult[]> {
  const rounds = Math.ceil(40 * scale);
  await using hub = serveHub({ "owner/name": { revisions: { main: tinyFiles() } } });
  let right = 0;
  let expected: string | undefined;
  for (let round = 0; round < rounds; round++) {
    await inTemporaryFolder(async (cache) => {
      const code = `import { VQDiffusionPipeline } from ${JSON.stringify(PIPELINE.href)};
        await using pipe = await VQDiffusionPipeline.fromPretrained("owner/name", {
          endpoint: ${JSON.stringify(hub.endpoint.href)}, cache: ${JSON.stringify(cache)},
          device: "wasm", threads: 1,
        });
        const options = { seed: 1, numInferenceSteps: 2, outputType: "tokens" };
        console.log((await pipe.generate("a cat", options)).images[0].join());`;
      const start = () =>
        new Deno.Command(Deno.execPath(), { args: ["eval", "--no-lock", code] }).output();
      for (const { stdout } of await Promise.all([start(), start(), start(), start()])) {
        const drawn = new TextDecoder().decode(stdout);
        if (drawn !== "") expected ??= drawn;
        if (drawn !== "" && drawn === expected) right++;
      }
    });
  }
  const count = 4 * rounds;
  const found = `${right} of ${count} draw the same`;
  return [{ trial: "starts, four beside each other", count, found, passed: right === count }];
}
