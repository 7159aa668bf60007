// `generation_config.json`: how a model says that it wants to be drawn with.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { generationConfigText } from "../../src/pipeline/generation_config.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { serveFiles } from "../files/file_server.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { type Files, folderOf, tinyFiles } from "./golden_runs.ts";

const PATH = "generation_config.json";
const TOKENS = { seed: 3, outputType: "tokens" } as const;

/** The tiny model with a config of these fields, or of this text. */
function withConfig(config: object | string): Files {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  return { ...tinyFiles(), [PATH]: new TextEncoder().encode(text) };
}

Deno.test("VQDiffusionPipeline takes what a caller gives, then the model's config, then diffusers' defaults", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  const load = (files: Files) => VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
  await using plain = await load(tinyFiles());
  assertEquals(plain.generationConfig, {});
  assert(!("generationConfig" in plain.components));
  const json = { num_inference_steps: 4, guidance_scale: 1.5, truncation_rate: null, top_k: 9 };
  await using pipe = await load(withConfig(json));
  assertEquals(pipe.generationConfig, { numInferenceSteps: 4, guidanceScale: 1.5, json });

  const asConfigured = { ...TOKENS, numInferenceSteps: 4, guidanceScale: 1.5, truncationRate: 1 };
  const expected = await plain.generate("a cat", asConfigured);
  assertEquals(await pipe.generate("a cat", TOKENS), expected);
  assertEquals((await Array.fromAsync(pipe.stream("a cat", { seed: 3 }))).length, 4);
  const given = { ...TOKENS, numInferenceSteps: 2, guidanceScale: 3 };
  assertEquals(await pipe.generate("a cat", given), await plain.generate("a cat", given));

  // Components take it along, and another scheduler with fewer timesteps bounds it.
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 65, numTrainTimesteps: 3 });
  const exchanged = new VQDiffusionPipeline({ ...pipe.components, scheduler });
  assertEquals(exchanged.generationConfig, pipe.generationConfig);
  assertEquals((await Array.fromAsync(exchanged.stream("a cat", { seed: 3 }))).length, 3);
  const { transformer, tokenizer, textEncoder } = pipe.components;
  const alone = new VQDiffusionPipeline({ transformer, scheduler, tokenizer, textEncoder });
  assertEquals(alone.generationConfig, {});
});

Deno.test("VQDiffusionPipeline refuses a config that does not fit, and names the file", async () => {
  const wrong: [config: object | string, error: new () => Error, message: string][] = [
    ["{", SyntaxError, "Cannot read golden/generation_config.json: it is not valid JSON"],
    ["[]", SyntaxError, "expected a JSON object"],
    [
      { guidance_scale: "strong" },
      TypeError,
      'Cannot use golden/generation_config.json: guidance_scale is "strong", expected a number',
    ],
    [{ num_inference_steps: 2.5 }, TypeError, "num_inference_steps is 2.5, expected an integer"],
    [{ num_inference_steps: 0 }, RangeError, "num_inference_steps is 0"],
    [{ num_inference_steps: 101 }, RangeError, "num_inference_steps is 101"],
    [{ truncation_rate: 1.5 }, RangeError, "truncation_rate is 1.5, expected a number from 0 to 1"],
  ];
  await using backend = await createWasmBackend({ threads: 1 });
  const before = backend.memoryUse();
  for (const [config, error, message] of wrong) {
    const load = () =>
      VQDiffusionPipeline.fromPretrained(folderOf(withConfig(config)), { backend });
    await assertRejects(load, error, message);
  }
  assertEquals(backend.memoryUse(), before);

  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
  const make = (generationConfig: object) => () =>
    new VQDiffusionPipeline({ ...pipe.components, generationConfig });
  assertThrows(make({ guidanceScale: "1" }), TypeError, 'generationConfig.guidanceScale is "1"');
  assertThrows(make({ truncationRate: 2 }), RangeError, "generationConfig.truncationRate is 2");
  assertThrows(make({ guidance: 2 }), TypeError, 'unknown option "guidance"');
});

Deno.test("VQDiffusionPipeline loads from servers that have no config, however they say so", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const answers = [
    () => new Response("none", { status: 404 }),
    () => new Response("forbidden", { status: 403 }),
    () => new Response("\n<!doctype html><title>Not found</title>"),
  ];
  for (const answer of answers) {
    const fault = (_: Request, path: string) =>
      /^(generation_config|names)\.json$/.test(path) ? answer() : undefined;
    await using server = serveFiles(tinyFiles(), { fault });
    await using pipe = await VQDiffusionPipeline.fromPretrained(server.url, { backend });
    assertEquals(pipe.generationConfig, {});
    assertEquals(await pipe.knownNames(), undefined);
  }
  const fault = (_: Request, path: string) =>
    path === PATH ? new Response("", { status: 500 }) : undefined;
  await using server = serveFiles(withConfig({ guidance_scale: 1 }), { fault });
  const load = () => VQDiffusionPipeline.fromPretrained(server.url, { backend, retries: 0 });
  await assertRejects(load, Error, "the server answered 500");
});

Deno.test("VQDiffusionPipeline.savePretrained() keeps the config with all its fields, and the names", async () => {
  const config = { guidance_scale: 2, do_sample: true };
  const names = { names: { Animals: ["cat"] }, note: "mine" };
  const files = {
    ...withConfig(config),
    "names.json": new TextEncoder().encode(JSON.stringify(names)),
  };
  await using backend = await createWasmBackend({ threads: 1 });
  await using plain = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
  await inTemporaryFolder(async (path) => {
    const read = async (name: string) => JSON.parse(await Deno.readTextFile(`${path}/${name}`));
    await pipe.savePretrained(path);
    assertEquals(await read(PATH), config);
    assertEquals(await read("names.json"), names);
    // A model without them leaves none of another one behind.
    await plain.savePretrained(path);
    for (const name of [PATH, "names.json"]) await assertRejects(() => read(name));
  });
});

Deno.test("generationConfigText() puts values that were changed into the fields of the file", () => {
  const json = { guidance_scale: 5, other: 1 };
  const text = generationConfigText({ json, guidanceScale: 2, numInferenceSteps: undefined });
  assertEquals(JSON.parse(text), { guidance_scale: 2, other: 1 });
});
