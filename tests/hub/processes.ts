/**
 * Processes that load a model of a hub beside each other, with one cache that is empty at first.
 *
 * @module
 */

import { tinyFiles } from "../pipeline/golden_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { serveHub } from "./fake_hub.ts";

const PIPELINE = new URL("../../src/pipeline/vq_diffusion_pipeline.ts", import.meta.url);

/** Processes that start at the same time. */
const PROCESSES = 4;

/** What came of it. */
export interface Starts {
  /** Processes that drew the right picture. */
  readonly right: number;
  /** What the others printed. */
  readonly wrong: readonly string[];
}

/** A program that loads the model and prints the tokens of a picture. */
function program(endpoint: URL, cache: string | undefined): string {
  const how = { endpoint, cache, device: "wasm", threads: 1 };
  return `import { VQDiffusionPipeline } from ${JSON.stringify(PIPELINE)};
    await using pipe = await VQDiffusionPipeline.fromPretrained("owner/name", ${
    JSON.stringify(how)
  });
    const options = { seed: 1, numInferenceSteps: 2, outputType: "tokens" };
    console.log((await pipe.generate("a cat", options)).images[0].join());`;
}

/**
 * Starts four processes at once, some times.
 *
 * @param onDisk Whether the cache is a folder, or the Cache API of Deno.
 */
export async function startsBesideEachOther(
  { rounds, onDisk }: { readonly rounds: number; readonly onDisk: boolean },
): Promise<Starts> {
  await using hub = serveHub({ "owner/name": { revisions: { main: tinyFiles() } } });
  const wrong: string[] = [];
  let right = 0;
  let expected: string | undefined;
  for (let round = 0; round < rounds; round++) {
    await inTemporaryFolder(async (folder) => {
      const code = program(hub.endpoint, onDisk ? `${folder}/cache` : undefined);
      const start = () =>
        new Deno.Command(Deno.execPath(), {
          args: ["eval", "--no-lock", "--no-config", code],
          // Where Deno keeps its Cache API.
          env: { DENO_DIR: `${folder}/deno`, NO_COLOR: "1" },
        }).output();
      for (
        const { stdout, stderr } of await Promise.all(Array.from({ length: PROCESSES }, start))
      ) {
        const drawn = new TextDecoder().decode(stdout);
        if (drawn !== "") expected ??= drawn;
        if (drawn !== "" && drawn === expected) right++;
        else wrong.push(drawn + new TextDecoder().decode(stderr));
      }
    });
  }
  return { right, wrong };
}
