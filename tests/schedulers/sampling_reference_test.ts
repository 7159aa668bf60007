// The ordinary scheduler as Microsoft's code draws; whole runs are in tests/pipeline/class_models_test.ts.

import { assertEquals, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { checkRun, microsoftRuns, RUN_BACKENDS } from "./microsoft_runs.ts";

const MICROSOFT = {
  numVecClasses: 5,
  numTrainTimesteps: 4,
  samplingReference: "microsoft",
} as const;

Deno.test("VQDiffusionScheduler draws as Microsoft's ordinary sampler", async () => {
  await using backend = await RUN_BACKENDS[0]!.make();
  const run = microsoftRuns("sampling_fast").find(({ name }) => name === "plain")!;
  const { config } = VQDiffusionScheduler.fromConfig(run.config);
  const scheduler = new VQDiffusionScheduler({ ...config, samplingReference: "microsoft" });
  await checkRun(backend, scheduler, run);
});

Deno.test("VQDiffusionScheduler guides as Microsoft's code at all scales but 1", () => {
  const scheduler = new VQDiffusionScheduler(MICROSOFT);
  const scales = [0, 0.5, 0.9991, 1, 1.0009, 1.0011, 5];
  assertEquals(scales.map((scale) => scheduler.guides(scale)), [
    ...[true, true, false, false, false, true, true],
  ]);
});

Deno.test("VQDiffusionScheduler draws noise for the mask in the last step of Microsoft's code", () => {
  const sizes = { batch: 2, pixels: 3 };
  const draw = (
    options: typeof MICROSOFT | { numVecClasses: number; numTrainTimesteps: number },
  ) => {
    const scheduler = new VQDiffusionScheduler(options);
    const step = scheduler.plan(4).steps.at(-1)!;
    let asked = 0;
    scheduler.drawNoise(step, sizes, { fill: (out) => void (asked = out.length) });
    return asked;
  };
  assertEquals(draw(MICROSOFT), 2 * 5 * 3);
  assertEquals(draw({ numVecClasses: 5, numTrainTimesteps: 4 }), 2 * 4 * 3);
});

Deno.test("VQDiffusionScheduler.plan() leaves row 0 of Microsoft's code to no noise", () => {
  const ordinary = new VQDiffusionScheduler({ numVecClasses: 5, numTrainTimesteps: 4 });
  for (const timestepSpacing of ["leading", "strided"] as const) {
    const own = new VQDiffusionScheduler({ ...ordinary.config, timestepSpacing }).plan(3);
    const plan = new VQDiffusionScheduler({ ...MICROSOFT, timestepSpacing }).plan(3);
    const width = 6;
    assertEquals([...plan.table.subarray(width)], [...own.table]);
    assertEquals([...plan.table.subarray(0, width)], [...own.table.subarray(-width)]);
    const shifted = own.steps.map(({ timestep, row }) => ({ timestep, row: row + 1 }));
    assertEquals(plan.steps, shifted);
  }
});

Deno.test("VQDiffusionScheduler.step() and qPosterior() go by the same posterior in both ways", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const ordinary = new VQDiffusionScheduler({ numVecClasses: 5, numTrainTimesteps: 4 });
  const microsoft = new VQDiffusionScheduler(MICROSOFT);
  using logPX0 = backend.tensor(
    Float32Array.from({ length: 4 * 6 }, (_, i) => Math.log((i * 7 % 5 + 1) / 20)),
    [1, 4, 6],
  );
  using xT = backend.tensor(Int32Array.of(4, 0, 4, 2, 4, 1), [1, 6]);
  for (const t of [0, 1, 3]) {
    using one = ordinary.qPosterior(logPX0, xT, t);
    using other = microsoft.qPosterior(logPX0, xT, t);
    assertEquals(await one.data(), await other.data());
    const step = async (scheduler: VQDiffusionScheduler) => {
      const generator = new TorchGenerator(3);
      using previous = scheduler.step(logPX0, t, xT, { generator }).prevSample;
      return await previous.data();
    };
    // Of one image the noise for the mask comes last, where nothing else is drawn.
    assertEquals(await step(microsoft), await step(ordinary));
  }
});

Deno.test("VQDiffusionScheduler.savePretrained() keeps the reference, also of other samplers", async () => {
  await inTemporaryFolder(async (path) => {
    const { config } = new VQDiffusionScheduler(MICROSOFT);
    const fast = VQDiffusionFastScheduler.fromConfig(config, { inferSpeed: 2 });
    for (const scheduler of [new VQDiffusionScheduler(config), fast]) {
      await scheduler.savePretrained(path);
      const loaded = await VQDiffusionScheduler.fromPretrained(path);
      assertEquals(loaded.config.samplingReference, "microsoft");
    }
    await new VQDiffusionScheduler({ numVecClasses: 5 }).savePretrained(path);
    const text = await Deno.readTextFile(`${path}/scheduler_config.json`);
    assertEquals("sampling_reference" in JSON.parse(text), false);
  });
  assertThrows(
    () => new VQDiffusionScheduler({ ...MICROSOFT, samplingReference: "openai" as never }),
    RangeError,
    'samplingReference is "openai", expected "diffusers" or "microsoft"',
  );
});
