// Samplers by name, and the best tokens alone: the same tokens on all backends.

import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { GenerateOptions, StreamOptions } from "../../src/pipeline/generate_options.ts";
import { checkParameters } from "../../src/pipeline/generation_parameters.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { namedScheduler } from "../../src/schedulers/samplers.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

const { adapter } = await probeWebGpu({ allowSoftware: true });

const OPTIONS = { seed: 3, outputType: "tokens", guidanceScale: 2, truncationRate: 0.9 } as const;

/** Each sampler with a number of steps. */
const SAMPLERS: readonly (readonly [name: string, steps: number | undefined])[] = [
  ["leading", 6],
  ["strided", 6],
  ["fast:20", undefined],
  ["purity", 6],
];

async function load(backend: Backend) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
}

Deno.test("VQDiffusionPipeline.generate() draws with a sampler as with its scheduler", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  await using pipe = await load(backend);
  const drawn: Int32Array[] = [];
  for (const [sampler, numInferenceSteps] of SAMPLERS) {
    const options = { ...OPTIONS, numInferenceSteps };
    const scheduler = namedScheduler(sampler, pipe.components.scheduler.config);
    const exchanged = new VQDiffusionPipeline({ ...pipe.components, scheduler });
    const expected = await exchanged.generate("a cat", options);
    assertEquals(await pipe.generate("a cat", { ...options, sampler }), expected);
    drawn.push(expected.images[0]!);
  }
  assertEquals(new Set(drawn.map(String)).size, SAMPLERS.length);
  // Steps follow from a speed; in a stream, too.
  const events = await Array.fromAsync(pipe.stream("a cat", { seed: 1, sampler: "fast:25" }));
  assertEquals(events.map(({ timestep }) => timestep), [99, 74, 49, 24, 0]);
});

Deno.test("checkParameters() has the number of steps that follows from a sampler, unless one is given", () => {
  const steps = (sampler: string, numInferenceSteps?: number, numTrainTimesteps?: number) =>
    checkParameters({ sampler, numInferenceSteps }, {
      numTrainTimesteps,
      defaults: { numInferenceSteps: 7 },
    }).numInferenceSteps;
  assertEquals(steps("fast:4", undefined, 100), 26);
  assertEquals(steps("fast:4", 100, 100), 100);
  assertEquals(steps("strided", undefined, 100), 7);
  // Without a model nothing follows yet.
  assertEquals(steps("fast:4"), 7);
});

Deno.test("VQDiffusionPipeline.generate() takes the steps that its scheduler fixes, not the model's default", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  await using pipe = await load(backend);
  const scheduler = namedScheduler("fast:25", pipe.components.scheduler.config);
  const generationConfig = { numInferenceSteps: 7, json: {} };
  const fast = new VQDiffusionPipeline({ ...pipe.components, scheduler, generationConfig });
  const stepsOf = async (options: StreamOptions) =>
    (await Array.fromAsync(fast.stream("a cat", { seed: 1, ...options }))).length;
  assertEquals(await stepsOf({}), 5);
  // What a caller gives comes first.
  assertEquals(await stepsOf({ sampler: "strided" }), 7);
  await assertRejects(
    () => fast.generate("a cat", { numInferenceSteps: 7 }),
    RangeError,
    "their number is 7, expected 5, which follows",
  );
});

Deno.test("VQDiffusionPipeline.generate() keeps the best tokens alone, whatever computes", async () => {
  const draw = async (makeBackend: () => Promise<Backend>, topK: number | undefined) => {
    await using backend = await makeBackend();
    await using pipe = await load(backend);
    const images: unknown[] = [];
    for (const [sampler, numInferenceSteps] of SAMPLERS) {
      const options: GenerateOptions<"tokens"> = { ...OPTIONS, sampler, numInferenceSteps, topK };
      images.push(await pipe.generate(["a cat", "a dog"], options));
    }
    return images;
  };
  const onWasm = (threads: number) => () => createWasmBackend({ threads });
  const all = await draw(onWasm(2), undefined);
  assertEquals(await draw(onWasm(2), 64), all);
  const expected = await draw(onWasm(1), 2);
  expected.forEach((images, i) => assertNotEquals(images, all[i]));
  assertEquals(await draw(onWasm(2), 2), expected);
  if (adapter === undefined) return;
  const onGpu = async () => {
    const { adapter } = await probeWebGpu({ allowSoftware: true });
    const device = await adapter!.requestDevice();
    return await createWebGpuBackend({ device, reason: "asked for", allowSoftware: true });
  };
  assertEquals(await draw(onGpu, 2), expected);
});
