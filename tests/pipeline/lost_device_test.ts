// A GPU that is lost in mid-run: Wasm takes over, and the result is the same. Run on any adapter, also
// one that computes on the CPU.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DeviceLostError } from "../../src/backends/errors.ts";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { type Files, folderOf, tinyFiles } from "./golden_runs.ts";

const { adapter } = await probeWebGpu({ allowSoftware: true });
const ignore = adapter === undefined;

const PROMPTS = ["a cat", "a red car on the street"];
const OPTIONS = { numInferenceSteps: 10, guidanceScale: 5, truncationRate: 0.9 } as const;

/** A pipeline on a GPU device that the caller can destroy. */
async function onGpu(files: Files = tinyFiles()) {
  const { adapter } = await probeWebGpu({ allowSoftware: true });
  const device = await adapter!.requestDevice();
  const backend = await createWebGpuBackend({ device, reason: "asked for", allowSoftware: true });
  const pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend, threads: 2 });
  return {
    pipe,
    device,
    [Symbol.asyncDispose]: async () => {
      await pipe.dispose();
      assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
      await backend.dispose();
    },
  };
}

async function onWasm(options: GenerateOptions) {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
  });
  return await pipe.generate(PROMPTS, { ...OPTIONS, ...options });
}

/** Uniform numbers that are not PyTorch's, from a source that cannot be set back. */
function ownGenerator() {
  const source = new TorchGenerator(99);
  return { fill: (out: Float32Array) => source.fill(out) };
}

for (const generator of ["TorchGenerator", "a generator of one's own"]) {
  Deno.test({
    name: `VQDiffusionPipeline.generate() goes on with Wasm when the GPU is lost: ${generator}`,
    ignore,
    fn: async () => {
      const noise = () =>
        generator === "TorchGenerator" ? { seed: 4 } : {
          generator: ownGenerator(),
        };
      const expected = await onWasm(noise());
      await using gpu = await onGpu();
      assertEquals(gpu.pipe.device.type, "webgpu");
      const progress: number[] = [];
      const run = gpu.pipe.generate(PROMPTS, {
        ...OPTIONS,
        ...noise(),
        onProgress: ({ step }) => {
          progress.push(step);
          if (step === 4) gpu.device.destroy();
        },
      });
      assertEquals(await run, expected);
      assertEquals(progress, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      const { type, reason, threads } = gpu.pipe.device;
      assertEquals([type, threads], ["wasm", 2]);
      assertMatch(reason, /^the GPU was lost: /);
      assertEquals(await gpu.pipe.generate(PROMPTS, { ...OPTIONS, ...noise() }), expected);
      assertEquals(gpu.pipe.components.vqvae.backend, gpu.pipe.backend);
    },
  });
}

Deno.test({
  name:
    "VQDiffusionPipeline.generate() goes on with Wasm when the GPU is lost where guidance begins",
  ignore,
  fn: async () => {
    // Leading steps at the timesteps 9 … 0, of which those from 5 on are guided: the fifth is the first.
    const options = { seed: 4, guidanceInterval: [0, 0.06], negativePrompt: "a dog" } as const;
    const expected = await onWasm(options);
    await using gpu = await onGpu();
    const onProgress = ({ step }: { step: number }) => {
      if (step === 4) gpu.device.destroy();
    };
    assertEquals(
      await gpu.pipe.generate(PROMPTS, { ...OPTIONS, ...options, onProgress }),
      expected,
    );
    assertEquals(gpu.pipe.device.type, "wasm");
  },
});

Deno.test({
  name: "VQDiffusionPipeline.stream() goes on with Wasm when the GPU is lost",
  ignore,
  fn: async () => {
    const expected = await onWasm({ seed: 4 });
    await using gpu = await onGpu();
    const steps: number[] = [];
    let images;
    for await (const event of gpu.pipe.stream(PROMPTS, { ...OPTIONS, seed: 4 })) {
      steps.push(event.step);
      if (event.step === 3) {
        gpu.device.destroy();
        await gpu.device.lost;
      }
      images = await event.preview();
    }
    assertEquals(steps, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assertEquals(images, expected.images);
  },
});

Deno.test({
  name: "VQDiffusionPipeline: all generations that run when the GPU is lost go on with Wasm",
  ignore,
  fn: async () => {
    const expected = await Promise.all([1, 2, 3].map((seed) => onWasm({ seed })));
    await using gpu = await onGpu();
    let steps = 0;
    const onProgress = () => {
      if (++steps === 6) gpu.device.destroy();
    };
    const runs = [1, 2, 3].map((seed) => {
      return gpu.pipe.generate(PROMPTS, { ...OPTIONS, seed, onProgress });
    });
    // One of them notices the loss when the others have moved already.
    const late = gpu.pipe.generate(PROMPTS, {
      ...OPTIONS,
      seed: 1,
      callback: async (step) => {
        if (step === 0) await Promise.all(runs);
      },
    });
    assertEquals(await Promise.all(runs), expected);
    assertEquals(await late, expected[0]!);
  },
});

Deno.test({
  name: "VQDiffusionPipeline.generate() works when the GPU was lost before",
  ignore,
  fn: async () => {
    await using gpu = await onGpu();
    gpu.device.destroy();
    await gpu.device.lost;
    const actual = await gpu.pipe.generate(PROMPTS, { ...OPTIONS, seed: 4 });
    assertEquals(actual, await onWasm({ seed: 4 }));
  },
});

Deno.test({
  name: "VQDiffusionPipeline says so if it cannot go on with Wasm, and tries again the next time",
  ignore,
  fn: async () => {
    const { adapter } = await probeWebGpu({ allowSoftware: true });
    const device = await adapter!.requestDevice();
    await using backend = await createWebGpuBackend({
      device,
      reason: "asked for",
      allowSoftware: true,
    });
    let there = true;
    const folder = memoryFolder(tinyFiles());
    const vanishing: typeof folder = {
      ...folder,
      description: "a disk",
      has: (path) => folder.has(path),
      open: (path) => folder.open(path),
      folder: (path) => folder.folder(path),
      readText: (path) => there ? folder.readText(path) : Promise.reject(new Error("Unplugged")),
    };
    await using pipe = await VQDiffusionPipeline.fromPretrained(vanishing, { backend });
    there = false;
    device.destroy();
    await device.lost;
    await assertRejects(() => pipe.generate("a cat"), Error, "Unplugged");
    there = true;
    const { images } = await pipe.generate("a cat", { numInferenceSteps: 1 });
    assert(images.length === 1);
    assertEquals(pipe.device.type, "wasm");
  },
});

Deno.test({
  name: "VQDiffusionPipeline of given components passes on that the GPU was lost",
  ignore,
  fn: async () => {
    await using gpu = await onGpu();
    await using other = new VQDiffusionPipeline({ ...gpu.pipe.components });
    const run = other.generate(PROMPTS, {
      ...OPTIONS,
      callback: async (step) => {
        if (step !== 2) return;
        gpu.device.destroy();
        await gpu.device.lost;
      },
    });
    await assertRejects(() => run, DeviceLostError);
    assertEquals(other.device.type, "webgpu");
    // The pipeline that loaded the components has a folder to load from again.
    const actual = await gpu.pipe.generate(PROMPTS, { ...OPTIONS, seed: 4 });
    assertEquals(actual, await onWasm({ seed: 4 }));
  },
});
