// Styles of a model: the seed of a picture chooses one, where its prompt names none.

import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { BatchGenerator, imageSeed } from "../../src/random/batch_generator.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { type Files, folderOf, tinyFiles } from "./golden_runs.ts";

const STYLES = ["flat style", "in pencil"];
const TOKENS = { numInferenceSteps: 3, outputType: "tokens" } as const;

async function load(config?: object): Promise<VQDiffusionPipeline> {
  const files: Files = config === undefined ? tinyFiles() : {
    ...tinyFiles(),
    "generation_config.json": new TextEncoder().encode(JSON.stringify(config)),
  };
  return await VQDiffusionPipeline.fromPretrained(folderOf(files), { device: "wasm", threads: 2 });
}

Deno.test("VQDiffusionPipeline draws each image in the style of its seed, as if the prompt named it", async () => {
  await using plain = await load();
  await using pipe = await load({ styles: STYLES });
  assertEquals(pipe.generationConfig.styles, STYLES);
  const options = { ...TOKENS, guidanceScale: 2, numImagesPerPrompt: 2 };
  const drawn = await pipe.generate(["a cat", "a horse, flat style"], {
    ...options,
    seed: 4,
    negativePrompt: ["red", "blue"],
  });
  const alone = async (prompt: string, seed: number, negativePrompt: string) => {
    const { images } = await plain.generate(prompt, {
      ...TOKENS,
      guidanceScale: 2,
      seed,
      negativePrompt,
    });
    return images[0]!;
  };
  assertEquals(drawn.images, [
    await alone("a cat, flat style", 4, "red"),
    await alone("a cat, in pencil", 5, "red"),
    await alone("a horse, flat style", 6, "blue"),
    await alone("a horse, flat style", 7, "blue"),
  ]);
  assertNotEquals(drawn.images[0], await alone("a cat", 4, "red"));

  // Embeddings of negative prompts are one for each prompt, not for each image.
  const negativePromptEmbeds = await plain.encodePrompt(["red", "blue"]);
  const embedded = await pipe.generate(["a cat", "a horse, flat style"], {
    ...options,
    seed: 4,
    negativePromptEmbeds,
  });
  assertEquals(embedded, drawn);
});

Deno.test("VQDiffusionPipeline takes the styles that a caller gives, or none", async () => {
  await using plain = await load();
  await using pipe = await load({ styles: STYLES });
  const options = { ...TOKENS, seed: 1 };
  const asItStands = await plain.generate("a cat", options);
  assertEquals(await pipe.generate("a cat", { ...options, styles: [] }), asItStands);
  const own = await plain.generate("a cat", { ...options, styles: ["in ink"] });
  assertEquals(own, await plain.generate("a cat, in ink", options));
  assertEquals(await pipe.generate("a cat", { ...options, styles: ["in ink"] }), own);
  // A picture shows its style.
  const image = new RasterImage(new Uint8ClampedArray(4 * 32 ** 2).fill(200), 32, 32);
  const changed = { ...options, image };
  assertEquals(await pipe.generate("a cat", changed), await plain.generate("a cat", changed));
  const asked = { ...changed, styles: ["in ink"] };
  assertEquals(await pipe.generate("a cat", asked), await plain.generate("a cat, in ink", changed));
  // Neither embeddings nor an empty prompt get any.
  const promptEmbeds = await plain.encodePrompt("a cat");
  const embedded = await pipe.generate(undefined, { ...options, promptEmbeds });
  assertEquals(embedded, asItStands);
  assertEquals(await pipe.generate("", options), await plain.generate("", options));

  const wrong: [styles: unknown, message: string][] = [
    ["flat style", 'Cannot generate: styles is "flat style", expected an array of strings'],
    [
      ["flat style", 1],
      "Cannot generate: styles[1] is 1, expected a string of at most 200 characters that has words",
    ],
    [
      ["in ink, wet"],
      'Cannot generate: styles[0] is "in ink, wet", expected a string of at most 200',
    ],
    [
      ["!"],
      'Cannot generate: styles[0] is "!", expected a string of at most 200 characters that has words',
    ],
  ];
  for (const [styles, message] of wrong) {
    const call = () => pipe.generate("a cat", { ...options, styles: styles as string[] });
    await assertRejects(call, TypeError, message);
  }
  for (const styles of ["flat style", ["flat style", 1], ["!"], ["a,b"], ["x".repeat(201)]]) {
    await assertRejects(() => load({ styles }), TypeError, "generation_config.json: styles");
  }
});

Deno.test("VQDiffusionPipeline.promptNotes() counts the style that a seed may choose", async () => {
  await using plain = await load();
  await using pipe = await load({ styles: STYLES });
  // As many letters as the model reads, without the tokens for start and end.
  const prompt = "x ".repeat(plain.components.tokenizer.modelMaxLength - 2).trim();
  assertEquals(await plain.promptNotes(prompt), []);
  const [note] = await pipe.promptNotes(prompt);
  assertEquals([note?.kind, note?.prompt], ["cut", prompt]);
  assertEquals(await pipe.promptNotes("a cat"), []);
});

Deno.test("imageSeed() knows the seed of an image, wherever its random numbers come from", async () => {
  const [first, second] = [new TorchGenerator(7), new TorchGenerator(-1)];
  assertEquals(first.initialSeed, 7n);
  assertEquals(second.initialSeed, 2n ** 64n - 1n);
  const own = { fill: (out: Float32Array) => void out.fill(0.5) };
  assertEquals([imageSeed(first, 0), imageSeed(first, 2)], [7n, 9n]);
  assertEquals([imageSeed(own, 0), imageSeed(own, 2)], [0n, 2n]);
  const batch = new BatchGenerator([second, own, first]);
  assertEquals([0, 1, 2].map((image) => imageSeed(batch, image)), [2n ** 64n - 1n, 1n, 7n]);

  // A generator is as good as its seed, also where it has been used before.
  await using pipe = await load({ styles: STYLES });
  const seeded = await pipe.generate(["a cat", "a dog"], { ...TOKENS, seed: [7, 8] });
  const generator = [new TorchGenerator(7), new TorchGenerator(8)];
  assertEquals(await pipe.generate(["a cat", "a dog"], { ...TOKENS, generator }), seeded);
});
