// Texts that guidance leads away from.

import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles, tinyFilesWithoutLearned } from "./golden_runs.ts";

const OPTIONS = { numInferenceSteps: 5, seed: 2, outputType: "tokens" } as const;
const PROMPTS = ["a cat", "a red car on the street"];

async function load(files = tinyFiles()) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(files), { device: "wasm", threads: 2 });
}

/** Draws two images of each prompt. */
async function draw(pipe: VQDiffusionPipeline, options: GenerateOptions<"tokens">) {
  const all = { ...OPTIONS, numImagesPerPrompt: 2, ...options };
  const prompt = all.promptEmbeds === undefined ? PROMPTS : undefined;
  return (await pipe.generate(prompt, all)).images;
}

Deno.test("VQDiffusionPipeline.generate() leads away from a negative prompt as from its embeddings", async () => {
  await using pipe = await load();
  const negativePromptEmbeds = await pipe.encodePrompt("a horse");
  const expected = await draw(pipe, { negativePromptEmbeds });
  assertNotEquals(expected, await draw(pipe, {}));
  for (const negativePrompt of ["a horse", ["a horse"], ["a horse", "a horse"]]) {
    assertEquals(await draw(pipe, { negativePrompt }), expected);
  }
  const promptEmbeds = await pipe.encodePrompt(PROMPTS);
  assertEquals(await draw(pipe, { promptEmbeds, negativePrompt: "a horse" }), expected);
  // Without guidance there is nothing that it could do.
  const unguided = { guidanceScale: 1 };
  const same = await draw(pipe, { ...unguided, negativePrompt: "a horse" });
  assertEquals(same, await draw(pipe, unguided));
});

Deno.test("VQDiffusionPipeline.generate() takes an empty negative prompt for none", async () => {
  for (const files of [tinyFiles(), tinyFilesWithoutLearned()]) {
    await using pipe = await load(files);
    const plain = await draw(pipe, {});
    const horse = await draw(pipe, { negativePrompt: "a horse" });
    for (const negativePrompt of ["", ["", ""]]) {
      assertEquals(await draw(pipe, { negativePrompt }), plain);
    }
    // Each prompt has its own.
    const mixed = await draw(pipe, { negativePrompt: ["", "a horse"] });
    assertEquals(mixed, [...plain.slice(0, 2), ...horse.slice(2)]);
  }
});

Deno.test("VQDiffusionPipeline.generate() needs no learned embeddings beside a negative prompt", async () => {
  await using pipe = await load();
  const { learnedClassifierFreeSamplingEmbeddings: _, ...parts } = pipe.components;
  const alone = new VQDiffusionPipeline(parts);
  const options = { ...OPTIONS, negativePrompt: "a horse" };
  assertEquals(await alone.generate("a cat", options), await pipe.generate("a cat", options));
  const needs = "learnedClassifierFreeSamplingEmbeddings";
  await assertRejects(() => alone.generate("a cat", OPTIONS), TypeError, needs);
  await assertRejects(
    () => alone.generate("a cat", { ...OPTIONS, negativePrompt: "" }),
    TypeError,
    needs,
  );
  const { tokenizer: _tokenizer, ...mute } = pipe.components;
  const promptEmbeds = await pipe.encodePrompt("a cat");
  await assertRejects(
    () => new VQDiffusionPipeline(mute).generate(undefined, { ...options, promptEmbeds }),
    TypeError,
    "tokenizer",
  );
});

Deno.test("VQDiffusionPipeline.generate() refuses a negative prompt of another length than embeddings", async () => {
  await using pipe = await load();
  const length = pipe.components.tokenizer.modelMaxLength;
  const promptEmbeds = { data: new Float32Array(5 * 32), shape: [1, 5, 32] } as const;
  await assertRejects(
    () => pipe.generate(undefined, { ...OPTIONS, promptEmbeds, negativePrompt: "a horse" }),
    RangeError,
    `negativePrompt is of ${length} tokens, expected 5 as the prompt's`,
  );
});
