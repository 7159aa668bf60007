// Whole pipelines against the runs of diffusers. Tokens are compared exactly after every step, other
// numbers within ten times the error of float32 that was measured with the reference.

import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { createBackend } from "../../src/backends/select.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { encodePrompt, promptIds } from "../../src/conditioning/text.ts";
import type { PipelineComponents } from "../../src/pipeline/components.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import {
  type Files,
  floats,
  folderOf,
  type GoldenRun,
  goldenRuns,
  ids,
  ithqLikeFiles,
  tinyFiles,
  tinyFilesWithoutLearned,
} from "./golden_runs.ts";

const EMBEDDINGS_TOLERANCE = 1e-5;
const GUIDED_TOLERANCE = 5e-4;
const IMAGE_TOLERANCE = 5e-5;

const { adapter } = await probeWebGpu({ allowSoftware: true });

const threaded = () => createWasmBackend({ threads: 2, simd: "relaxed-simd" });
/** Devices that a few runs are repeated on. */
const OTHERS = [
  ["1 thread", () => createWasmBackend({ threads: 1, simd: "relaxed-simd" })],
  ["plain SIMD", () => createWasmBackend({ threads: 2, simd: "simd" })],
  ["WebGPU", () => createBackend({ device: "webgpu" })],
] as const;

Deno.test("VQDiffusionPipeline gives the tokens and images of diffusers: tiny", async (t) => {
  await using backend = await threaded();
  const runs = goldenRuns("pipeline/tiny").filter(({ name }) => name !== "a_fp16_weights");
  await checkRuns(t, backend, tinyFiles(), runs.filter((run) => run.learnable_embeddings));
  const unlearned = runs.filter((run) => !run.learnable_embeddings);
  assertEquals(unlearned.map(({ name }) => name), ["f", "h"]);
  await checkRuns(t, backend, tinyFilesWithoutLearned(), unlearned);
});

Deno.test("VQDiffusionPipeline gives the tokens and images of diffusers: weights in float16", async () => {
  // The reference widened the halves of float32 weights, which is what float16 weights stand for.
  const folder = await Deno.makeTempDir();
  try {
    await using backend = await threaded();
    await using full = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
    await full.savePretrained(folder, { dtype: "fp16" });
    const run = goldenRuns("pipeline/tiny").find(({ name }) => name === "a_fp16_weights")!;
    await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
    await checkRun(pipe, run);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VQDiffusionPipeline gives the tokens and images of diffusers: ithq_like", async (t) => {
  await using backend = await threaded();
  await checkRuns(t, backend, ithqLikeFiles(), goldenRuns("pipeline/ithq_like"));
});

// Its weights are no others': the runs are those of a restatement in PyTorch, see their case.json.
Deno.test("VQDiffusionPipeline gives the tokens and images of PyTorch: the embedded model", async (t) => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, {
    device: "wasm",
    threads: 2,
  });
  // The model asks for strided steps, which diffusers does not have.
  const config = { ...pipe.components.scheduler.config, timestepSpacing: "leading" } as const;
  const scheduler = VQDiffusionScheduler.fromConfig(config);
  const leading = new VQDiffusionPipeline({ ...pipe.components, scheduler });
  for (const run of goldenRuns("default_model")) {
    await t.step(`run ${run.name}`, () => checkGeneration(leading, run));
  }
});

for (const [name, make] of OTHERS) {
  Deno.test({
    name: `VQDiffusionPipeline gives the tokens and images of diffusers: ${name}`,
    ignore: name === "WebGPU" && adapter === undefined,
    fn: async (t) => {
      await using backend = await make();
      const runs = goldenRuns("pipeline/tiny").filter(({ name }) => "acd".includes(name));
      assertEquals(runs.length, 3);
      await checkRuns(t, backend, tinyFiles(), runs);
    },
  });
}

Deno.test("Transformer2DModel.forward() gives the guided log p(x0) of every step", async () => {
  await using backend = await threaded();
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
  const run = goldenRuns("pipeline/tiny").find(({ name }) => name === "a")!;
  const expected = floats(run, "guided_log_p_x0");
  const tokens = ids(run, "tokens");
  const steps = run.num_inference_steps;
  const pixels = tokens.length / steps;
  const size = expected.length / steps;
  for (let step = 0; step < steps; step++) {
    const before = step > 0
      ? tokens.subarray((step - 1) * pixels, step * pixels)
      : new Int32Array(pixels).fill(pipe.components.scheduler.maskClass);
    const actual = await guided(pipe.components, run, before, steps - 1 - step);
    const stored = expected.subarray(step * size, (step + 1) * size);
    assertClose(actual, stored, GUIDED_TOLERANCE, `step ${step}`);
  }
});

async function checkRuns(
  t: Deno.TestContext,
  backend: Backend,
  files: Files,
  runs: readonly GoldenRun[],
): Promise<void> {
  const before = backend.memoryUse();
  {
    await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
    for (const run of runs) await t.step(`run ${run.name}`, () => checkRun(pipe, run));
  }
  assertEquals(backend.memoryUse(), before);
}

async function checkRun(pipe: VQDiffusionPipeline, run: GoldenRun): Promise<void> {
  const prompts = [run.prompt].flat();
  assertEquals(promptIds(pipe.components.tokenizer, prompts), ids(run, "text_input_ids"));
  const embeddings = await encodePrompt(pipe.components, {
    prompts,
    numImagesPerPrompt: run.num_images_per_prompt,
    guided: run.guidance_scale > 1,
  });
  assertEquals([...embeddings.shape], [...run.array("text_embeddings")!.shape]);
  const expected = floats(run, "text_embeddings");
  assertClose(embeddings.data, expected, EMBEDDINGS_TOLERANCE, "text embeddings");
  await checkGeneration(pipe, run);
}

async function checkGeneration(pipe: VQDiffusionPipeline, run: GoldenRun): Promise<void> {
  const steps: Int32Array[] = [];
  const timesteps: number[] = [];
  const latents = run.array("latents")?.data as Int32Array | undefined;
  const { images } = await pipe.generate(run.prompt, {
    numInferenceSteps: run.num_inference_steps,
    guidanceScale: run.guidance_scale,
    truncationRate: run.truncation_rate,
    numImagesPerPrompt: run.num_images_per_prompt,
    generator: new TorchGenerator(run.generator_seed),
    // diffusers draws prompts as they stand.
    styles: [],
    outputType: "array",
    ...(latents && { latents }),
    callback: (step, timestep, tokens) => {
      assertEquals(step, steps.length);
      steps.push(tokens);
      timesteps.push(timestep);
    },
  });
  const count = run.num_inference_steps;
  assertEquals(timesteps, Array.from({ length: count }, (_, i) => count - 1 - i));
  const tokens = ids(run, "tokens");
  const size = tokens.length / count;
  steps.forEach((actual, i) => {
    assertEquals(actual, tokens.slice(i * size, (i + 1) * size), `tokens after step ${i}`);
  });

  assertEquals(images.length, size / pipe.components.transformer.config.sampleSize ** 2);
  const stored = run.array("image");
  if (stored === undefined) return checkBytes(images, run);
  const [, height, width] = stored.shape as [number, number, number];
  const expected = floats(run, "image");
  images.forEach((image, i) => {
    const golden = expected.subarray(i * image.length, (i + 1) * image.length);
    assertClose(image, golden, IMAGE_TOLERANCE, `image ${i}`);
    const { data } = RasterImage.fromFloat32(image, width, height);
    const { data: bytes } = RasterImage.fromFloat32(golden, width, height);
    assertClose(Float32Array.from(data), Float32Array.from(bytes), 1, `bytes of image ${i}`);
  });
}

/** Compares with images that are stored as bytes, where they are. */
function checkBytes(images: readonly Float32Array[], run: GoldenRun): void {
  const stored = run.array("bytes");
  if (stored === undefined) return;
  const [, height, width] = stored.shape as [number, number, number];
  const expected = Float32Array.from(stored.data as Uint8Array);
  images.forEach((image, i) => {
    const { data } = RasterImage.fromFloat32(image, width, height);
    const bytes = Float32Array.from(data.filter((_, at) => at % 4 < 3));
    const golden = expected.subarray(i * bytes.length, (i + 1) * bytes.length);
    assertClose(bytes, golden, 1, `bytes of image ${i}`);
  });
}

/** log p(x0) after guidance: l = u + s (c − u), normalised again; (classes − 1, pixels). */
async function guided(
  { transformer }: PipelineComponents,
  run: GoldenRun,
  tokens: Int32Array,
  timestep: number,
): Promise<Float32Array> {
  const { backend } = transformer;
  using sample = backend.tensor(tokens, [1, tokens.length]);
  const { shape } = run.array("text_embeddings")!;
  using encoderHiddenStates = backend.tensor(floats(run, "text_embeddings"), shape);
  using logProbs = transformer.forward({ sample, encoderHiddenStates, timestep });
  const values = await logProbs.data();
  const size = values.length / 2;
  const pixels = tokens.length;
  const mixed = Float64Array.from(values.subarray(0, size), (u, i) => {
    return u + run.guidance_scale * (values[size + i]! - u);
  });
  return Float32Array.from(mixed, (value, i) => {
    let sum = 0;
    for (let j = i % pixels; j < size; j += pixels) sum += Math.exp(mixed[j]!);
    return value - Math.log(sum);
  });
}

function assertClose(
  actual: Float32Array,
  expected: Float32Array,
  tolerance: number,
  what: string,
): void {
  assertEquals(actual.length, expected.length, what);
  let largest = 0;
  for (const [i, value] of actual.entries()) {
    // A NaN makes the difference NaN.
    const difference = Math.abs(value - expected[i]!);
    largest = difference > largest || Number.isNaN(difference) ? difference : largest;
  }
  assert(largest <= tolerance, `${what}: largest difference is ${largest}`);
}
