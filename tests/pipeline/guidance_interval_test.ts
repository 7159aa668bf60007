// Guidance in a part of the steps: which steps those are, and that the others are as without guidance.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import { isInside, parseInterval } from "../../src/pipeline/guidance_interval.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

const OPTIONS = { seed: 2, guidanceScale: 4, outputType: "tokens" } as const;
const SAMPLERS = ["leading", "strided", "fast:20", "purity"];

async function loadTiny() {
  const backend = await createWasmBackend({ threads: 2 });
  const pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
  return {
    pipe,
    backend,
    [Symbol.asyncDispose]: () => pipe.dispose().then(() => backend.dispose()),
  };
}

Deno.test("isInside() takes the noise above the lower number and up to the higher", () => {
  const inside = (interval: [number, number]) =>
    Array.from({ length: 100 }, (_, t) => t).filter((t) => isInside(interval, t, 100));
  assertEquals(inside([0, 1]).length, 100);
  assertEquals(inside([0.2, 0.8]), Array.from({ length: 60 }, (_, i) => 20 + i));
  // 0.29 · 100 is less than 29 in floating point.
  assertEquals(inside([0.28, 0.29]), [28]);
  assertEquals(inside([0, 0.001]), []);
  assertEquals([0, 99].map((t) => isInside(undefined, t, 100)), [true, true]);
});

Deno.test("parseInterval() reads two shares, the lower first", () => {
  assertEquals(parseInterval("0.2-0.8"), [0.2, 0.8]);
  assertEquals(parseInterval("0-1"), [0, 1]);
  assertEquals(parseInterval(".25-1.0"), [0.25, 1]);
  for (
    const text of ["", "0.5", "0.8-0.2", "0.5-0.5", "-0.1-1", "0-1.1", "0,2-0,8", "a-b", "0-1-1"]
  ) {
    assertEquals(parseInterval(text), undefined, text);
  }
});

Deno.test("VQDiffusionPipeline.generate() guides at all steps of a whole interval, and at none outside", async () => {
  await using tiny = await loadTiny();
  const { pipe } = tiny;
  const draw = (options: GenerateOptions<"tokens">) =>
    pipe.generate("a cat", { ...OPTIONS, ...options });
  for (const sampler of SAMPLERS) {
    const all = await draw({ sampler });
    assertEquals(await draw({ sampler, guidanceInterval: [0, 1] }), all, sampler);
    const none = await draw({ sampler, guidanceScale: 1 });
    assertNotEquals(none, all);
    const outside = { sampler, guidanceInterval: [0, 0.001] } as const;
    assertEquals(await draw(outside), none, sampler);
  }
});

Deno.test("VQDiffusionPipeline.generate() begins and ends guidance between steps", async () => {
  await using tiny = await loadTiny();
  const { pipe, backend } = tiny;
  const { scheduler } = pipe.components;
  const sizes = { batch: 2, pixels: 64 };
  const steps = 8;
  // Leading steps at the timesteps 7 … 0, of which those from 5 to 3 are guided.
  const run = async (guidanceScale: number, from: number, to: number, latents?: Int32Array) => {
    const generator = new TorchGenerator(2);
    const { steps: plan } = scheduler.plan(steps);
    for (const step of plan.slice(0, from)) scheduler.drawNoise(step, sizes, generator);
    let tokens: Int32Array | undefined;
    await pipe.generate(["a cat", "a dog"], {
      ...{ numInferenceSteps: steps - from, guidanceScale, generator, latents },
      outputType: "tokens",
      callback: (step, _timestep, state) => void (step === to - from - 1 && (tokens = state)),
    });
    return tokens!;
  };
  const first = await run(1, 0, 2);
  const second = await run(4, 2, 5, first);
  const expected = await run(1, 5, 8, second);
  assertNotEquals(expected, await run(4, 0, 8));

  const batches: number[] = [];
  const { transformer } = pipe.components;
  const record = transformer.recordContext;
  transformer.recordContext = (frame, states) => {
    batches.push(states!.shape[0]!);
    return record.call(transformer, frame, states);
  };
  const options = {
    ...{ numInferenceSteps: steps, guidanceScale: 4, guidanceInterval: [0.03, 0.06] as const },
    outputType: "tokens",
  } as const;
  const before = backend.memoryUse();
  const draw = async (generator: GenerateOptions["generator"]) => {
    const { images } = await pipe.generate(["a cat", "a dog"], { ...options, generator });
    return Int32Array.from(images.flatMap((image) => [...image]));
  };
  assertEquals(await draw(new TorchGenerator(2)), expected);
  // Outside of the interval the network is asked once for each picture, inside twice.
  assertEquals(batches, [2, 4, 2]);
  assertEquals(backend.memoryUse(), before);
  // Noise that cannot be drawn again is not lost where guidance begins.
  const once = new TorchGenerator(2);
  assertEquals(await draw({ fill: (out) => once.fill(out) }), expected);
  assert(batches.length === 6);
});

Deno.test("VQDiffusionPipeline.stream() tells the tokens of every step of an interval", async () => {
  await using tiny = await loadTiny();
  const { pipe } = tiny;
  const options = {
    seed: 2,
    numInferenceSteps: 6,
    guidanceScale: 4,
    guidanceInterval: [0.02, 0.05],
  } as const;
  const told: Int32Array[] = [];
  for await (const { tokens } of pipe.stream("a cat", options)) told.push(tokens);
  const called: Int32Array[] = [];
  await pipe.generate("a cat", {
    ...options,
    callback: (_step, _t, tokens) => void called.push(tokens),
  });
  assertEquals(told, called);
  assertEquals(told.length, 6);
});
