// Generations that start from pictures: Microsoft's runs with `filter_ratio`, and what strength means.

import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
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
            seed: run.seed,
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
