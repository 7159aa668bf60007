import { assertEquals } from "@std/assert";
import { modelIdentity, WatchedFolder } from "../../src/cli/model_identity.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles, withJson } from "../pipeline/golden_runs.ts";

Deno.test("WatchedFolder remembers the files that a pipeline is loaded from", async () => {
  const watched = new WatchedFolder(folderOf(tinyFiles()));
  const options = { device: "wasm", threads: 1 } as const;
  await using pipe = await VQDiffusionPipeline.fromPretrained(watched, options);
  const { images } = await pipe.generate("a cat", { seed: 1, numInferenceSteps: 1 });
  assertEquals(images.length, 1);
  for (const path of Object.keys(tinyFiles())) {
    if (/model_index|config\.json|safetensors|vocab|merges/.test(path)) {
      assertEquals([path, watched.paths.has(path)], [path, true]);
    }
  }
});

Deno.test("modelIdentity() is another for other configs, weights, types and files, and else the same", async () => {
  const files = tinyFiles();
  const paths = Object.keys(files);
  const weights = paths.find((path) => /transformer\/.*safetensors$/.test(path))!;
  const config = paths.find((path) => /transformer\/config\.json$/.test(path))!;
  const changed = files[weights]!.slice();
  changed[changed.length - 1]! ^= 1;
  const identity = (given: typeof files, dtype?: string, read: Iterable<string> = paths) =>
    modelIdentity(folderOf(given), read, dtype);
  const all = await Promise.all([
    identity(files),
    identity({ ...files, [weights]: changed }),
    identity({ ...files, [weights]: files[weights]!.slice(0, -1) }),
    identity(withJson(files, config, { dropout: 0.5 })),
    identity(files, "q8"),
    identity(files, undefined, paths.slice(1)),
  ]);
  assertEquals(new Set(all).size, all.length);
  const others = [...paths.toReversed(), "not_there.json"];
  assertEquals(await identity(files, undefined, others), all[0]);
});
