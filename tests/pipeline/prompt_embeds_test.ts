// Embeddings in place of prompts.

import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { encodePrompt } from "../../src/conditioning/text.ts";
import type { StreamOptions } from "../../src/pipeline/generate_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

const OPTIONS = { numInferenceSteps: 5, seed: 2, outputType: "tokens" } as const;
const PROMPTS = ["a cat", "a red car on the street"];

async function loadTiny() {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
  });
}

Deno.test("VQDiffusionPipeline.generate() draws the same tokens from embeddings as from their prompts", async () => {
  await using pipe = await loadTiny();
  for (const prompts of [["a horse"], PROMPTS]) {
    const promptEmbeds = await pipe.encodePrompt(prompts);
    for (const options of [{}, { guidanceScale: 1 }, { numImagesPerPrompt: 2 }]) {
      const all = { ...OPTIONS, ...options };
      const expected = await pipe.generate(prompts, all);
      assertEquals(await pipe.generate(undefined, { ...all, promptEmbeds }), expected);
      using tensor = pipe.backend.tensor(promptEmbeds.data, promptEmbeds.shape);
      assertEquals(await pipe.generate(undefined, { ...all, promptEmbeds: tensor }), expected);
    }
  }
});

Deno.test("VQDiffusionPipeline.generate() takes negativePromptEmbeds for one or each of the prompts", async () => {
  await using pipe = await loadTiny();
  const encode = (...prompts: string[]) => pipe.encodePrompt(prompts);
  const options = { ...OPTIONS, numImagesPerPrompt: 2 };
  const learned = await pipe.generate(PROMPTS, options);
  const one = await encode("a horse");
  const expected = await pipe.generate(PROMPTS, { ...options, negativePromptEmbeds: one });
  assertNotEquals(expected, learned);
  const twice = { ...options, negativePromptEmbeds: await encode("a horse", "a horse") };
  assertEquals(await pipe.generate(PROMPTS, twice), expected);
  // Each prompt has its own: the first half as before, the other not.
  const mixed = { ...options, negativePromptEmbeds: await encode("a horse", "a cat") };
  const { images } = await pipe.generate(PROMPTS, mixed);
  assertEquals(images.slice(0, 2), expected.images.slice(0, 2));
  assertNotEquals(images.slice(2), expected.images.slice(2));
  // Without guidance there is nothing that they could do.
  const unguided = { ...options, guidanceScale: 1 };
  assertEquals(
    await pipe.generate(PROMPTS, { ...unguided, negativePromptEmbeds: one }),
    await pipe.generate(PROMPTS, unguided),
  );
});

Deno.test("VQDiffusionPipeline.stream() copies embeddings when it is called", async () => {
  await using pipe = await loadTiny();
  const promptEmbeds = await encodePrompt(pipe.components, {
    prompts: ["a horse"],
    numImagesPerPrompt: 1,
    guided: false,
  });
  const expected = await pipe.generate("a horse", OPTIONS);
  const events = pipe.stream(undefined, { numInferenceSteps: 5, seed: 2, promptEmbeds });
  promptEmbeds.data.fill(0);
  let last: Int32Array | undefined;
  for await (const { tokens } of events) last = tokens;
  assertEquals(last, expected.images[0]);
});

Deno.test("VQDiffusionPipeline.encodePrompt() refuses what is no prompt", async () => {
  await using pipe = await loadTiny();
  const wrong: [prompt: unknown, error: new () => Error, message: string][] = [
    [
      [],
      RangeError,
      "Cannot encode prompts: prompt is an empty array, expected at least one string",
    ],
    [undefined, TypeError, "prompt is undefined, expected a string or an array of strings"],
    [["a", 1], TypeError, "prompt[1] is 1, expected a string"],
  ];
  for (const [prompt, error, message] of wrong) {
    await assertRejects(() => pipe.encodePrompt(prompt as string), error, message);
  }
});

Deno.test("VQDiffusionPipeline.generate() refuses embeddings that do not fit", async () => {
  await using pipe = await loadTiny();
  const length = pipe.components.tokenizer.modelMaxLength;
  const embeds = (...shape: number[]) => ({
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
    shape: shape as unknown as readonly [number, number, number],
  });
  const good = embeds(2, length, 32);
  using ids = pipe.backend.tensor(new Int32Array(2 * length * 32), [2, length, 32]);
  const wrong: [options: unknown, error: new () => Error, message: string][] = [
    [{ promptEmbeds: null }, TypeError, "promptEmbeds is null, expected a tensor of floats"],
    [{ promptEmbeds: "a cat" }, TypeError, 'promptEmbeds is "a cat", expected a tensor'],
    [{ promptEmbeds: good.data }, TypeError, "promptEmbeds is a Float32Array, expected a tensor"],
    [{ promptEmbeds: { data: good.data } }, TypeError, "promptEmbeds is an object, expected"],
    [{ promptEmbeds: ids }, TypeError, "promptEmbeds is a"],
    [{ promptEmbeds: embeds(length, 32) }, RangeError, `(${length}, 32), expected (prompts, len`],
    [{ promptEmbeds: embeds(2, length, 31) }, RangeError, "expected (prompts, length, 32)"],
    [{ promptEmbeds: embeds(0, length, 32) }, RangeError, "promptEmbeds is of shape (0, "],
    [{ promptEmbeds: { ...good, shape: [1, length, 32] } }, RangeError, "numbers, expected"],
    [{ promptEmbeds: embeds(1, 5, 32) }, RangeError, `is of ${length} tokens, expected 5`],
    [
      { promptEmbeds: good, negativePromptEmbeds: embeds(3, length, 32) },
      RangeError,
      "negativePromptEmbeds is of 3 texts, expected 1 or 2, one for each prompt",
    ],
    [
      { promptEmbeds: good, negativePromptEmbeds: embeds(1, 4, 32) },
      RangeError,
      `negativePromptEmbeds is of 4 tokens, expected ${length} as the prompt's`,
    ],
    [{ promptEmbeds: good, latents: new Int32Array(64) }, RangeError, "2 · 64 token ids"],
  ];
  const before = pipe.backend.memoryUse();
  for (const [options, error, message] of wrong) {
    const given = options as StreamOptions;
    await assertRejects(() => pipe.generate(undefined, given), error, message);
    assertThrows(() => pipe.stream(undefined, given), error, message);
  }
  const both = () => pipe.generate("a cat", { promptEmbeds: good });
  await assertRejects(both, TypeError, "prompt and promptEmbeds are both given");
  await assertRejects(() => pipe.generate(undefined), TypeError, "prompt");
  assertEquals(pipe.backend.memoryUse(), before);
});
