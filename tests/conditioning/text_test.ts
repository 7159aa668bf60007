import { assertEquals, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { encodePrompt, promptCount } from "../../src/conditioning/text.ts";

/** Embeddings of texts of two tokens and one column. */
function embeds(...values: [number, number][]) {
  return { data: Float32Array.from(values.flat()), shape: [values.length, 2, 1] as const };
}

Deno.test("encodePrompt() puts unconditional embeddings before the others, each as often as there are images", async () => {
  const request = {
    prompts: [],
    promptEmbeds: embeds([1, 2], [3, 4]),
    numImagesPerPrompt: 2,
    guided: true,
  };
  const conditional = [1, 2, 1, 2, 3, 4, 3, 4];
  const one = await encodePrompt({}, { ...request, negativePromptEmbeds: embeds([7, 8]) });
  assertEquals([...one.data], [7, 8, 7, 8, 7, 8, 7, 8, ...conditional]);
  assertEquals(one.shape, [8, 2, 1]);
  const negativePromptEmbeds = embeds([5, 6], [7, 8]);
  const each = await encodePrompt({}, { ...request, negativePromptEmbeds });
  assertEquals([...each.data], [5, 6, 5, 6, 7, 8, 7, 8, ...conditional]);
  const unguided = { ...request, negativePromptEmbeds, guided: false };
  assertEquals(await encodePrompt({}, unguided), {
    data: Float32Array.from(conditional),
    shape: [4, 2, 1],
  });
});

Deno.test("encodePrompt() reads tensors, which stay the caller's", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  using promptEmbeds = backend.tensor(Float32Array.of(1, 2, 3, 4), [1, 2, 2]);
  const request = { prompts: [], promptEmbeds, numImagesPerPrompt: 1, guided: false };
  const { data, shape } = await encodePrompt({}, request);
  assertEquals([[...data], shape], [[1, 2, 3, 4], [1, 2, 2]]);
  assertEquals(await promptEmbeds.data(), data);
});

Deno.test("encodePrompt() asks for the components that it needs", async () => {
  const options = { numImagesPerPrompt: 1, guided: false };
  const encode = () => encodePrompt({}, { ...options, prompts: ["a cat"] });
  await assertRejects(encode, TypeError, "the pipeline has no tokenizer, which a prompt needs");
  const guided = () =>
    encodePrompt({}, { ...options, prompts: [], promptEmbeds: embeds([1, 2]), guided: true });
  await assertRejects(guided, TypeError, "has no learnedClassifierFreeSamplingEmbeddings");
});

Deno.test("promptCount() counts prompts or their embeddings", () => {
  assertEquals(promptCount({ prompts: ["a", "b", "c"] }), 3);
  assertEquals(promptCount({ prompts: [], promptEmbeds: embeds([1, 2], [3, 4]) }), 2);
});
