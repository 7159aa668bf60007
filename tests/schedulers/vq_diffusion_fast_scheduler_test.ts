import { assertEquals, assertThrows } from "@std/assert";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { checkRun, microsoftRuns, RUN_BACKENDS } from "./microsoft_runs.ts";

const RUNS = microsoftRuns("sampling_fast");
const FAST = RUNS.filter(({ infer_speed }) => infer_speed !== false && infer_speed !== null);

Deno.test("VQDiffusionFastScheduler is tested on all runs of the reference", () => {
  const names = ["fast10", "fast10_unguided", "fast2", "fast4", "fast5", "fast5_scale_half"];
  assertEquals(FAST.map(({ name }) => name), names);
});

for (const { name, slow, make, ignore = false } of RUN_BACKENDS) {
  for (const run of FAST) {
    if (slow && run.calls > 26) continue;
    Deno.test({
      name: `${name}: VQDiffusionFastScheduler draws ${run.name} of the reference`,
      ignore,
      fn: async () => {
        await using backend = await make();
        const inferSpeed = run.infer_speed as number;
        await checkRun(
          backend,
          VQDiffusionFastScheduler.fromConfig(run.config, { inferSpeed }),
          run,
        );
      },
    });
  }
}

for (const timestepSpacing of ["leading", "strided"] as const) {
  Deno.test(`wasm: VQDiffusionScheduler draws an ordinary run of the reference in all ${timestepSpacing} steps`, async () => {
    await using backend = await RUN_BACKENDS[0]!.make();
    const run = RUNS.find(({ name }) => name === "plain")!;
    const { config } = VQDiffusionScheduler.fromConfig(run.config);
    await checkRun(backend, new VQDiffusionScheduler({ ...config, timestepSpacing }), run);
  });
}

Deno.test("VQDiffusionFastScheduler.plan() asks at one timestep and steps from an earlier one", () => {
  for (const run of FAST) {
    const inferSpeed = run.infer_speed as number;
    const scheduler = VQDiffusionFastScheduler.fromConfig(run.config, { inferSpeed });
    const { table, steps } = scheduler.plan(100);
    assertEquals(steps.map(({ timestep }) => timestep), [...run.numbers("timesteps")]);
    const ordinary = new VQDiffusionScheduler(scheduler.config).plan(100).table;
    [...run.numbers("posterior_timesteps")].forEach((t, i) => {
      const { row } = steps[i]!;
      const six = (from: Float32Array, at: number) => from.slice(6 * at, 6 * at + 6);
      assertEquals(six(table, row), six(ordinary, t));
      assertEquals(six(table, row - 1), six(ordinary, t === 0 ? 100 : t - 1));
    });
  }
});

Deno.test("VQDiffusionFastScheduler.plan() takes the number of steps that follows from the speed", () => {
  const counts = { 2: 51, 2.9: 51, 3: 34, 4: 26, 5: 21, 7: 16, 10: 11, 99: 2, 100: 2 };
  for (const [speed, calls] of Object.entries(counts)) {
    const scheduler = new VQDiffusionFastScheduler({
      ...{ numVecClasses: 9, inferSpeed: Number(speed) },
    });
    assertEquals(scheduler.plan(100).steps.length, calls);
    assertEquals(scheduler.plan(calls), scheduler.plan(100));
    assertEquals(scheduler.plan(100).steps.at(-1)!.timestep, 0);
    assertThrows(
      () => scheduler.plan(calls + 1),
      RangeError,
      `number is ${
        calls + 1
      }, expected ${calls}, which follows from the speed ${speed}, or all 100`,
    );
    assertThrows(() => scheduler.plan(101), RangeError, "from 1 to 100");
  }
});

Deno.test("VQDiffusionFastScheduler refuses speeds that are none", () => {
  const { config } = new VQDiffusionScheduler({ numVecClasses: 9, numTrainTimesteps: 10 });
  for (const inferSpeed of [1.9, 0, -3, 11, NaN, Infinity]) {
    assertThrows(
      () => VQDiffusionFastScheduler.fromConfig(config, { inferSpeed }),
      RangeError,
      `inferSpeed is ${inferSpeed}, expected a finite number from 2 to 10`,
    );
  }
  for (const inferSpeed of ["2", undefined, null]) {
    assertThrows(
      () => VQDiffusionFastScheduler.fromConfig(config, { inferSpeed: inferSpeed as never }),
      TypeError,
      "inferSpeed is",
    );
  }
  for (const options of [undefined, { infer_speed: 2 }, { inferSpeed: 2, priorRule: 1 }]) {
    assertThrows(
      () => VQDiffusionFastScheduler.fromConfig(config, options as never),
      TypeError,
      "Cannot make a VQDiffusionFastScheduler",
    );
  }
});

Deno.test("VQDiffusionFastScheduler guides at all scales but 1", () => {
  const scheduler = new VQDiffusionFastScheduler({ numVecClasses: 9, inferSpeed: 2 });
  const scales = [0, 0.5, 0.9991, 1, 1.0009, 1.002, 5];
  assertEquals(scales.filter((scale) => scheduler.guides(scale)), [0, 0.5, 1.002, 5]);
  const ordinary = new VQDiffusionScheduler({ numVecClasses: 9 });
  assertEquals(scales.filter((scale) => ordinary.guides(scale)), [1.0009, 1.002, 5]);
});

Deno.test("VQDiffusionFastScheduler.savePretrained() writes the config of the ordinary scheduler", async () => {
  await using folder = await temporaryFolder();
  const scheduler = new VQDiffusionFastScheduler({ numVecClasses: 9, inferSpeed: 2 });
  await scheduler.savePretrained(folder.path);
  const read = await VQDiffusionScheduler.fromPretrained(folder.path);
  assertEquals(read.config, new VQDiffusionScheduler({ numVecClasses: 9 }).config);
});
