// Pipelines of a caller's components, with another scheduler: the runs of Microsoft's code, of which an
// ordinary one is as in diffusers, and fast ones ask the network about one timestep and apply the
// posterior of another.

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { SCHEDULE_COLUMNS } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import type { SamplingPlan } from "../../src/schedulers/sampling_plan.ts";
import type { Scheduler } from "../../src/schedulers/scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";
import { FAST_MODEL, fastEmbeddings, type FastRun, fastRun } from "./sampling_fast.ts";

/** A scheduler whose plan is that of a run of the reference. */
class ReplayingScheduler extends VQDiffusionScheduler {
  #run: FastRun | undefined;

  replay(run: FastRun): this {
    this.#run = run;
    return this;
  }

  override plan(n: number): SamplingPlan {
    const ordinary = super.plan(n);
    if (this.#run === undefined) return ordinary;
    const timesteps = this.#run.ints("timesteps");
    const width = SCHEDULE_COLUMNS.length;
    const last = ordinary.table.length / width - 1;
    const rowOf = (t: number) => ordinary.table.subarray(t * width, (t + 1) * width);
    // For each step the row before it, and the row of the timestep that its posterior is of.
    const rows = [...this.#run.ints("posterior_timesteps")].flatMap((t) => {
      return [rowOf(t === 0 ? last : t - 1), rowOf(t)];
    });
    return {
      table: Float32Array.from([...rows, rowOf(last)].flatMap((row) => [...row])),
      steps: Array.from(timesteps, (timestep, i) => ({ timestep, row: 2 * i + 1 })),
    };
  }
}

async function loadParts() {
  const backend = await createWasmBackend({ threads: 2 });
  const transformer = await Transformer2DModel.fromPretrained(FAST_MODEL, {
    backend,
    subfolder: "transformer",
  });
  const { config } = await VQDiffusionScheduler.fromPretrained(FAST_MODEL, {
    subfolder: "scheduler",
  });
  return {
    transformer,
    config,
    [Symbol.asyncDispose]: async () => {
      await transformer.dispose();
      assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
      await backend.dispose();
    },
  };
}

/** Draws the images of a run and compares the tokens after every step. */
async function checkRun(
  transformer: Transformer2DModel,
  scheduler: Scheduler,
  run: FastRun,
): Promise<void> {
  const pipe = new VQDiffusionPipeline({ transformer, scheduler });
  const steps: [timestep: number, tokens: Int32Array][] = [];
  await pipe.generate(undefined, {
    promptEmbeds: fastEmbeddings(run.condition_order),
    ...(run.guided && { negativePromptEmbeds: fastEmbeddings(["uncond"]) }),
    guidanceScale: run.guidance_scale,
    truncationRate: run.truncation_rate,
    generator: new TorchGenerator(run.seed),
    outputType: "tokens",
    callback: (_step, timestep, tokens) => void steps.push([timestep, tokens]),
  });
  assertEquals(steps.map(([timestep]) => timestep), [...run.ints("timesteps")]);
  const tokens = run.ints("tokens");
  const size = tokens.length / run.calls;
  steps.forEach(([, actual], i) => {
    assertEquals(actual, tokens.slice(i * size, (i + 1) * size), `tokens after step ${i}`);
  });
  assertEquals(steps.length, run.calls);
}

Deno.test("VQDiffusionPipeline of a transformer and a scheduler gives an ordinary run of Microsoft's code", async () => {
  await using parts = await loadParts();
  await checkRun(parts.transformer, new VQDiffusionScheduler(parts.config), fastRun("plain"));
});

for (const name of ["fast4", "fast10"]) {
  Deno.test(`VQDiffusionPipeline follows the plan of its scheduler: ${name}`, async () => {
    await using parts = await loadParts();
    const run = fastRun(name);
    const scheduler = new ReplayingScheduler(parts.config).replay(run);
    await checkRun(parts.transformer, scheduler, run);
    const pipe = new VQDiffusionPipeline({ transformer: parts.transformer, scheduler });
    const promptEmbeds = fastEmbeddings(["a"]);
    const options = { promptEmbeds, guidanceScale: 1, seed: 0 };
    let told = 0;
    for await (const { step, steps } of pipe.stream(undefined, options)) {
      assertEquals([step, steps], [++told, run.calls]);
    }
    assertEquals(told, run.calls);
  });
}

Deno.test("VQDiffusionPipeline draws with the scheduler that takes the place of another", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
  });
  const options = { numInferenceSteps: 4, seed: 1, outputType: "tokens" } as const;
  const expected = await pipe.generate("a cat", options);
  const { config } = pipe.components.scheduler;
  const same = new VQDiffusionPipeline({
    ...pipe.components,
    scheduler: new VQDiffusionScheduler(config),
  });
  assertEquals(await same.generate("a cat", options), expected);
  const milder = new VQDiffusionScheduler({ ...config, json: {}, gammaCumEnd: 0.5 });
  const other = new VQDiffusionPipeline({ ...pipe.components, scheduler: milder });
  assertEquals(other.components.scheduler, milder);
  assertNotEquals(await other.generate("a cat", options), expected);
  // The components are the first pipeline's.
  await other.dispose();
  assertThrows(() => other.components, ReferenceError, "disposed of");
  assertEquals(await pipe.generate("a cat", options), expected);
});
