// A stream of random numbers for each image: any image of a batch can be drawn again alone.

import { assertEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import {
  type Scheduler,
  VQDiffusionFastScheduler,
  VQDiffusionPurityScheduler,
  VQDiffusionScheduler,
} from "../../src/schedulers/mod.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

const OPTIONS = { numInferenceSteps: 3, truncationRate: 0.9, outputType: "tokens" } as const;
const PROMPTS = ["a cat", "a horse"];

async function loadTiny(): Promise<VQDiffusionPipeline> {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
  });
}

Deno.test("VQDiffusionPipeline.generate() gives the images of a batch a seed each", async () => {
  await using pipe = await loadTiny();
  const alone = async (prompt: string, seed: number) =>
    (await pipe.generate(prompt, { ...OPTIONS, seed })).images[0]!;
  const prompts = ["a cat", "a cat", "a horse", "a horse"];
  const batch = { ...OPTIONS, numImagesPerPrompt: 2 };

  const following = await pipe.generate(PROMPTS, { ...batch, seed: 5 });
  const expected = await Promise.all(prompts.map((prompt, i) => alone(prompt, 5 + i)));
  assertEquals(following.images, expected);

  const seeds = [9, 5, 6, 9];
  const listed = await pipe.generate(PROMPTS, { ...batch, seed: seeds });
  const wanted = await Promise.all(prompts.map((prompt, i) => alone(prompt, seeds[i]!)));
  assertEquals(listed.images, wanted);

  const generator = seeds.map((seed) => new TorchGenerator(seed));
  assertEquals(await pipe.generate(PROMPTS, { ...batch, generator }), listed);
  // They go on where they were left.
  const later = await pipe.generate("a cat", { ...OPTIONS, generator: generator[0]! });
  const again = new TorchGenerator(9);
  for (let i = 0; i < 2; i++) {
    const { images } = await pipe.generate("a cat", { ...OPTIONS, generator: again });
    if (i === 1) assertEquals(images, later.images);
  }
});

Deno.test("every scheduler, and a picture to start from, gives the images of a batch a seed each", async () => {
  await using pipe = await loadTiny();
  const { config } = pipe.components.scheduler;
  const image = new RasterImage(Uint8ClampedArray.from({ length: 256 }, (_, i) => i), 8, 8);
  const settings: [name: string, scheduler: Scheduler, options: object][] = [
    ["strided", new VQDiffusionScheduler({ ...config, timestepSpacing: "strided" }), {}],
    ["fast", VQDiffusionFastScheduler.fromConfig(config, { inferSpeed: 30 }), {
      numInferenceSteps: undefined,
    }],
    ["purity", VQDiffusionPurityScheduler.fromConfig(config, { priorRule: 2, priorWeight: 1 }), {}],
    ["picture", pipe.components.scheduler, { image, strength: 0.9 }],
  ];
  for (const [name, scheduler, more] of settings) {
    const other = new VQDiffusionPipeline({ ...pipe.components, scheduler });
    const options = { ...OPTIONS, ...more };
    const batch = await other.generate("a cat", { ...options, numImagesPerPrompt: 3, seed: 5 });
    for (const [i, tokens] of batch.images.entries()) {
      const alone = await other.generate("a cat", { ...options, seed: 5 + i });
      assertEquals(alone.images[0], tokens, `${name}, image ${i}`);
    }
  }
});

Deno.test("VQDiffusionPipeline.generate() refuses lists of seeds and generators that do not fit", async () => {
  await using pipe = await loadTiny();
  const wrong: [options: object, error: new () => Error, message: string][] = [
    [{ seed: [1] }, RangeError, "seed.length is 1, expected 2, one for each image"],
    [{ seed: [] }, RangeError, "seed.length is 0, expected 2"],
    [{ seed: [1, 0.5] }, RangeError, "the seed is 0.5, expected an integer"],
    [{ generator: [new TorchGenerator(0)] }, RangeError, "generator.length is 1, expected 2"],
    [{ generator: [new TorchGenerator(0), 1] }, TypeError, "generator[1] is 1, expected an object"],
  ];
  for (const [options, error, message] of wrong) {
    await assertRejects(() => pipe.generate(PROMPTS, { ...OPTIONS, ...options }), error, message);
  }
});
