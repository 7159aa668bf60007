// Generations that start from pictures: Microsoft's runs with `filter_ratio`, and what strength means.

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { PipelineParts } from "../../src/pipeline/components.ts";
import { startFromPicture } from "../../src/pipeline/from_picture.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles, tinyFilesWithoutLearned } from "./golden_runs.ts";
import {
  embeddings,
  floats,
  IMAGE_RUNS,
  ints,
  loadImagePipeline,
  pictures,
} from "./sampling_image.ts";

const { adapter } = await probeWebGpu({ allowSoftware: true });

/** Where runs are repeated, and which: adapters that compute on the CPU take long. */
const BACKENDS: readonly {
  name: string;
  runs: readonly string[];
  ignore: boolean;
  create: () => Promise<Backend>;
}[] = [
  {
    name: "Wasm",
    runs: Object.keys(IMAGE_RUNS),
    ignore: false,
    create: () => createWasmBackend({ threads: 2 }),
  },
  {
    name: "WebGPU",
    runs: ["tenth", "guided"],
    ignore: adapter === undefined,
    create: () => createWebGpuBackend({ reason: "asked for", allowSoftware: true }),
  },
];

for (const { name, runs, ignore, create } of BACKENDS) {
  Deno.test({
    name: `VQDiffusionPipeline.generate() starts from pictures as Microsoft's code: ${name}`,
    ignore,
    fn: async () => {
      await using backend = await create();
      {
        await using loaded = await loadImagePipeline(backend);
        for (const name of runs) {
          const run = IMAGE_RUNS[name]!;
          const steps: Int32Array[] = [];
          const timesteps: number[] = [];
          const isGuided = run.guidance_scale > 1;
          const { images } = await loaded.pipe.generate(undefined, {
            promptEmbeds: embeddings("text_embeddings"),
            ...(isGuided && { negativePromptEmbeds: embeddings("uncond") }),
            guidanceScale: run.guidance_scale,
            truncationRate: run.truncation_rate ?? 1,
            image: pictures(),
            strength: run.filter_ratio,
            // One stream for all images, as in the reference.
            generator: new TorchGenerator(run.seed),
            outputType: "array",
            callback: (_step, timestep, tokens) => {
              timesteps.push(timestep);
              steps.push(tokens);
            },
          });
          assertEquals(timesteps, [...ints(`${name}_timesteps`)], name);
          const golden = ints(`${name}_tokens`);
          steps.forEach((tokens, i) => {
            assertEquals(tokens, golden.subarray(128 * i, 128 * (i + 1)), `${name}, step ${i}`);
          });
          assertEquals(steps.length, run.calls);
          expectImages(images, floats(`${name}_image`));
        }
      }
      assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
    },
  });
}

/** Compares arrays (height, width, 3) in 0 … 1 with golden images (images, 3, height, width) in 0 … 255. */
function expectImages(images: readonly Float32Array[], golden: Float32Array): void {
  const size = images[0]!.length / 3;
  images.forEach((image, i) => {
    image.forEach((value, at) => {
      const expected = golden[(3 * i + at % 3) * size + Math.floor(at / 3)]!;
      // The tolerance of the reference, about ten times what rounding costs.
      assert(Math.abs(255 * value - expected) < 5e-3, `${value * 255} instead of ${expected}`);
    });
  });
}

Deno.test("VQDiffusionPipeline.generate() of strength 0 gives the pictures through the autoencoder", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using loaded = await loadImagePipeline(backend);
  const options = { image: pictures(), strength: 0, promptEmbeds: embeddings("text_embeddings") };
  const { images: tokens } = await loaded.pipe.generate(undefined, {
    ...options,
    guidanceScale: 1,
    outputType: "tokens",
  });
  assertEquals(tokens.flatMap((one) => [...one]), [...ints("image_tokens")]);
  const { images } = await loaded.pipe.generate(undefined, {
    ...options,
    guidanceScale: 1,
    outputType: "array",
  });
  expectImages(images, floats("reconstruction_image"));
});

/** Timesteps of the steps that are left of a plan, and the timestep of the noise. */
async function startOf(timesteps: readonly number[], strength: number, parts: PipelineParts) {
  const plan = {
    table: new Float32Array(6),
    steps: timesteps.map((timestep) => ({ timestep, row: 0 })),
  };
  const started = await startFromPicture(parts, plan, { image: pictures()[0]!, strength });
  const left = started.plan.steps.map(({ timestep }) => timestep);
  return [left, started.picture.timestep];
}

Deno.test("startFromPicture() leaves out the steps before the timestep that strength says", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using loaded = await loadImagePipeline(backend);
  const parts = loaded.pipe.components;
  const all = Array.from({ length: 100 }, (_, i) => 99 - i);
  assertEquals(await startOf(all, 1, parts), [all, 99]);
  assertEquals(await startOf(all, 0.5, parts), [all.slice(50), 49]);
  // Cut off after multiplying, as in the reference: 0.29 · 100 is a little less than 29.
  assertEquals(await startOf(all, 0.29, parts), [all.slice(72), 27]);
  assertEquals(await startOf(all, 0.01, parts), [[0], 0]);
  assertEquals(await startOf(all, 0.009, parts), [[], undefined]);
  assertEquals(await startOf(all, 0, parts), [[], undefined]);
  const spread = [99, 74, 49, 24];
  assertEquals(await startOf(spread, 1, parts), [spread, 99]);
  assertEquals(await startOf(spread, 0.6, parts), [[49, 24], 49]);
  assertEquals(await startOf(spread, 0.2, parts), [[24], 24]);
  // A few leading ones take more noise for theirs, as they do with masks alone.
  assertEquals(await startOf([2, 1, 0], 0.6, parts), [[2, 1, 0], 59]);
  assertEquals(await startOf([2, 1, 0], 0.02, parts), [[1, 0], 1]);
});

async function loadTiny(files = tinyFiles()) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(files), { device: "wasm", threads: 2 });
}

/** A picture that is not the same anywhere along a row. */
function stripes(width: number, height: number): RasterImage {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    const x = (i >> 2) % width;
    return i % 4 === 3 ? 255 : (x * 7 + (i % 4) * 50) % 256;
  });
  return new RasterImage(data, width, height);
}

Deno.test("VQDiffusionPipeline.generate() takes the middle of a picture of another size", async () => {
  await using pipe = await loadTiny();
  const wide = stripes(96, 48);
  const middle = new Uint8ClampedArray(48 * 48 * 4);
  for (let y = 0; y < 48; y++) {
    middle.set(wide.data.subarray((y * 96 + 24) * 4, (y * 96 + 72) * 4), y * 48 * 4);
  }
  const tokens = async (image: RasterImage) => {
    const { images } = await pipe.generate("a cat", { image, strength: 0, outputType: "tokens" });
    return images[0]!;
  };
  const expected = await tokens(new RasterImage(middle, 48, 48).resize(32, 32));
  // At the edges of the middle the filter reaches beyond it.
  const same = (await tokens(wide)).filter((token, i) => token === expected[i]).length;
  assert(same >= 60, `${same} of 64 tokens`);
  assertNotEquals(await tokens(wide.resize(32, 32)), expected);
  // White shows where there is nothing.
  const nothing = new RasterImage(new Uint8ClampedArray(64), 4, 4);
  const white = new RasterImage(new Uint8ClampedArray(64).fill(255), 4, 4);
  assertEquals(await tokens(nothing), await tokens(white));
});

Deno.test("VQDiffusionPipeline.generate() starts each prompt from the one picture or from its own", async () => {
  await using pipe = await loadTiny();
  const [a, b] = [stripes(32, 32), stripes(40, 40)];
  const options = { strength: 0, outputType: "tokens", numImagesPerPrompt: 2 } as const;
  const { images: [ofA] } = await pipe.generate("", { ...options, image: a });
  const { images: [ofB] } = await pipe.generate("", { ...options, image: b });
  assertNotEquals(ofA, ofB);
  const prompts = ["a cat", "a dog"];
  const shared = await pipe.generate(prompts, { ...options, image: a });
  assertEquals(shared.images, [ofA, ofA, ofA, ofA]);
  const own = await pipe.generate(prompts, { ...options, image: [a, b] });
  assertEquals(own.images, [ofA, ofA, ofB, ofB]);
  assertEquals((await pipe.generate(undefined, { ...options, image: [b, a] })).images, [
    ...[ofB, ofB, ofA, ofA],
  ]);
});

Deno.test("VQDiffusionPipeline.generate() noises pictures to 0.8 of the timesteps, if strength is not given", async () => {
  await using pipe = await loadTiny();
  const options = { image: stripes(32, 32), seed: 1, numInferenceSteps: 4 } as const;
  const expected = await pipe.generate("a cat", { ...options, strength: 0.8 });
  assertEquals(await pipe.generate("a cat", options), expected);
  assertNotEquals(await pipe.generate("a cat", { ...options, strength: 0.5 }), expected);
});

Deno.test("VQDiffusionPipeline.generate() without a prompt makes variations, without guidance", async () => {
  const options = { image: stripes(32, 32), strength: 0.9, seed: 1 } as const;
  const few = { ...options, numInferenceSteps: 3, outputType: "tokens" } as const;
  {
    // What has been learned for no prompt takes its place.
    await using pipe = await loadTiny();
    const { embeddings } = pipe.components.learnedClassifierFreeSamplingEmbeddings;
    const promptEmbeds = {
      data: await embeddings!.data(),
      shape: [1, embeddings!.shape[0]!, embeddings!.shape[1]!],
    } as const;
    const expected = await pipe.generate(undefined, { ...few, promptEmbeds, guidanceScale: 1 });
    assertEquals(await pipe.generate(undefined, few), expected);
    const numImagesPerPrompt = 2;
    const { images } = await pipe.generate(undefined, { ...few, numImagesPerPrompt });
    assertNotEquals(images[0], images[1]);
  }
  await using pipe = await loadTiny(tinyFilesWithoutLearned());
  const expected = await pipe.generate("", { ...few, guidanceScale: 1 });
  assertEquals(await pipe.generate(undefined, few), expected);
});

Deno.test("VQDiffusionPipeline.generate() from a picture needs an autoencoder that takes colours", async () => {
  await using pipe = await loadTiny();
  const image = stripes(32, 32);
  const { vqvae: _, ...rest } = pipe.components;
  const blind = new VQDiffusionPipeline(rest);
  await assertRejects(
    () => blind.generate("a cat", { image, outputType: "tokens" }),
    TypeError,
    "the pipeline has no vqvae, which an image needs",
  );
  const grey = { ...pipe.components, vqvae: { scaleFactor: 4, config: { inChannels: 1 } } };
  await assertRejects(
    () => startOf([1, 0], 1, grey as unknown as PipelineParts),
    RangeError,
    "the vqvae takes images of 1 channels, expected 3",
  );
});
