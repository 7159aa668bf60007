// Pipelines of given components: what may be missing, and what does not fit.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { encodePrompt } from "../../src/conditioning/text.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import type { PipelineParts } from "../../src/pipeline/components.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { folderOf, ithqLikeFiles, tinyFiles, tinyFilesWithoutLearned } from "./golden_runs.ts";

const LEARNED = "learnedClassifierFreeSamplingEmbeddings";

async function loadTiny(files = tinyFiles()) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(files), { device: "wasm", threads: 2 });
}

Deno.test("VQDiffusionPipeline asks by name for a component that a call needs", async () => {
  await using whole = await loadTiny();
  const { components } = whole;
  const promptEmbeds = await encodePrompt(components, {
    prompts: ["a cat"],
    numImagesPerPrompt: 1,
    guided: false,
  });
  const options = { numInferenceSteps: 2, seed: 3, outputType: "tokens" } as const;
  const unguided = { ...options, guidanceScale: 1 };
  const without = (...names: (keyof PipelineParts)[]) => {
    const kept = Object.entries(components).filter(([name]) => {
      return !names.includes(name as keyof PipelineParts);
    });
    return new VQDiffusionPipeline(Object.fromEntries(kept) as unknown as PipelineParts);
  };
  const expected = await whole.generate("a cat", options);
  const expectedUnguided = await whole.generate("a cat", unguided);

  const blind = without("vqvae");
  assertEquals(await blind.generate("a cat", options), expected);
  const images = () => blind.generate("a cat", { ...options, outputType: "image" });
  const message = 'the pipeline has no vqvae, which outputType "image" needs, expected it among';
  await assertRejects(images, TypeError, `Cannot generate: ${message} the components`);
  const arrays = () => blind.generate("a cat", { ...options, outputType: "array" });
  await assertRejects(arrays, TypeError, 'no vqvae, which outputType "array" needs');
  for await (const event of blind.stream("a cat", { numInferenceSteps: 1 })) {
    await assertRejects(() => event.preview(), TypeError, "no vqvae, which preview() needs");
  }
  await assertRejects(() => blind.savePretrained("nowhere"), TypeError, "has no vqvae, expected");

  const deaf = without("tokenizer", "textEncoder");
  assertEquals(await deaf.generate(undefined, { ...options, promptEmbeds }), expected);
  const prompted = () => deaf.generate("a cat", options);
  await assertRejects(prompted, TypeError, "no tokenizer, which a prompt needs");
  assertThrows(() => deaf.stream("a cat", { numInferenceSteps: 1 }), TypeError, "no tokenizer");
  const half = () => without("textEncoder").generate("a cat", options);
  await assertRejects(half, TypeError, "no textEncoder, which a prompt needs");

  const unlearned = without(LEARNED);
  assertEquals(await unlearned.generate("a cat", unguided), expectedUnguided);
  const guided = () => unlearned.generate("a cat", options);
  await assertRejects(guided, TypeError, `no ${LEARNED}, which guidance without negativePrompt`);

  const least = without("vqvae", "tokenizer", "textEncoder", LEARNED);
  assertEquals(await least.generate(undefined, { ...unguided, promptEmbeds }), expectedUnguided);
  const negativePromptEmbeds = components[LEARNED].embeddings!;
  const { data, shape: [length, columns] } = {
    data: await negativePromptEmbeds.data(),
    shape: negativePromptEmbeds.shape as [number, number],
  };
  const negative = { data, shape: [1, length, columns] as const };
  const both = { ...options, promptEmbeds, negativePromptEmbeds: negative };
  assertEquals(await least.generate(undefined, both), expected);
});

Deno.test("VQDiffusionPipeline needs tokenizer and text encoder where the empty prompt stands for none", async () => {
  await using whole = await loadTiny(tinyFilesWithoutLearned());
  const { transformer, scheduler, tokenizer, textEncoder } = whole.components;
  const learned = whole.components[LEARNED];
  const options = { numInferenceSteps: 2, seed: 3, outputType: "tokens" } as const;
  const embeds = (text: string) =>
    encodePrompt(whole.components, { prompts: [text], numImagesPerPrompt: 1, guided: false });
  const promptEmbeds = await embeds("a cat");
  const expected = await whole.generate("a cat", options);
  const parts = { transformer, scheduler, [LEARNED]: learned };
  const deaf = new VQDiffusionPipeline(parts);
  const generate = () => deaf.generate(undefined, { ...options, promptEmbeds });
  await assertRejects(
    generate,
    TypeError,
    "no tokenizer, which guidance by the empty prompt needs",
  );
  const hearing = new VQDiffusionPipeline({ ...parts, tokenizer, textEncoder });
  assertEquals(await hearing.generate(undefined, { ...options, promptEmbeds }), expected);
  const negativePromptEmbeds = await embeds("");
  const negative = { ...options, promptEmbeds, negativePromptEmbeds };
  assertEquals(await deaf.generate(undefined, negative), expected);
});

Deno.test("VQDiffusionPipeline refuses components that do not fit each other", async () => {
  await using pipe = await loadTiny();
  await using backend = await createWasmBackend({ threads: 1 });
  const tinyTransformer = folderOf(tinyFiles()).folder("transformer");
  await using elsewhere = await Transformer2DModel.fromPretrained(tinyTransformer, { backend });
  await using ithq = await VQDiffusionPipeline.fromPretrained(folderOf(ithqLikeFiles()), {
    backend: pipe.backend,
  });
  const { components } = pipe;
  const { vqvae, textEncoder, tokenizer } = ithq.components;
  const wrong: [parts: object, error: new () => Error, message: string][] = [
    [{ transformer: undefined }, TypeError, "transformer is undefined, expected a Transformer2DM"],
    [{ transformer: vqvae }, TypeError, "transformer is a VQModel, expected a Transformer2DModel"],
    [{ scheduler: undefined }, TypeError, "scheduler is undefined, expected a scheduler"],
    [{ vae: vqvae }, TypeError, 'unknown option "vae", expected vqvae, textEncoder'],
    [{ transformer: elsewhere }, RangeError, "vqvae is on another backend (Wasm"],
    [{ vqvae }, RangeError, "num_vector_embeds is 65, but the VQ model's"],
    [{ textEncoder }, RangeError, "cross_attention_dim is 32, but the text encoder's hidden_size"],
    [{ tokenizer }, RangeError, "the tokenizer gives ids up to 49407"],
    [{ [LEARNED]: ithq.components[LEARNED] }, RangeError, "learned embeddings' hidden_size is 24"],
    [
      { scheduler: new VQDiffusionScheduler({ numVecClasses: 9 }) },
      RangeError,
      "num_vector_embeds is 65, but the scheduler's num_vec_classes is 9",
    ],
    [
      { scheduler: new VQDiffusionScheduler({ numVecClasses: 65, numTrainTimesteps: 200 }) },
      RangeError,
      "the scheduler has 200 timesteps, the transformer knows 100",
    ],
  ];
  for (const [parts, error, message] of wrong) {
    const make = () => new VQDiffusionPipeline({ ...components, ...parts });
    assertThrows(make, error, `Cannot make a pipeline: `);
    assertThrows(make, error, message);
  }
  assertThrows(
    () => new VQDiffusionPipeline(undefined as never),
    TypeError,
    "options is undefined",
  );
  // Sizes are also those of the transformer where there is nothing between.
  const { transformer, scheduler } = components;
  const make = () =>
    new VQDiffusionPipeline({ transformer, scheduler, [LEARNED]: ithq.components[LEARNED] });
  assertThrows(
    make,
    RangeError,
    "hidden_size is 24, but the transformer's cross_attention_dim is 32",
  );
});
