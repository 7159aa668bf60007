import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { RandomGenerator } from "../../src/random/random_generator.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { tableShape } from "../../src/schedulers/sampling_plan.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { BACKENDS } from "../backends/backends.ts";
import { computed, floats } from "../backends/naive/arrays.ts";
import { truncate } from "../backends/naive/sampling.ts";
import { transpose } from "../backends/naive/rows.ts";
import { createOracle } from "../backends/oracle_backend.ts";
import { assertClose, Random } from "../backends/operations/trial.ts";
import { GoldenCase, goldenCases } from "../models/golden.ts";

const SCHEDULES = {
  log_at: "logAt",
  log_bt: "logBt",
  log_ct: "logCt",
  log_cumprod_at: "logCumprodAt",
  log_cumprod_bt: "logCumprodBt",
  log_cumprod_ct: "logCumprodCt",
} as const;

/** Seed of a `step` case. */
async function seedOf(golden: GoldenCase, step: string): Promise<number> {
  const { measured } = JSON.parse(await golden.text("case.json"));
  return measured[step].generator_seed;
}

async function load(path: string) {
  const golden = new GoldenCase(path);
  const { values } = await golden.config("scheduler_config.json");
  return { golden, scheduler: VQDiffusionScheduler.fromConfig(values) };
}

/** Beginnings of the names of posterior or step cases, with their timesteps. */
function casesOf(golden: GoldenCase, pattern: RegExp): [prefix: string, timestep: number][] {
  return golden.names().flatMap((name) => {
    const match = pattern.exec(name);
    return match ? [[match[1]!, Number(match[2])] as [string, number]] : [];
  });
}

for (const path of goldenCases("scheduler")) {
  Deno.test(`VQDiffusionScheduler has the schedules of ${path}`, async () => {
    const { golden, scheduler } = await load(path);
    for (const [name, property] of Object.entries(SCHEDULES)) {
      const expected = golden.floats(`schedule_${name}`).data;
      // Computed in float64: only the last bit of float32 may differ.
      assertClose(scheduler[property], expected, { absolute: 0, relative: 1.2e-7 }, name);
    }
  });

  for (const { name, make } of BACKENDS) {
    Deno.test(`${name}: VQDiffusionScheduler.qPosterior() is that of ${path}`, async () => {
      const { golden, scheduler } = await load(path);
      await using backend = await make();
      const before = backend.memoryUse();
      for (const [prefix, t] of casesOf(golden, /^(q\w*_t(\d+))_out$/)) {
        using logPX0 = golden.tensor(backend, `${prefix}_log_p_x0`);
        using xT = golden.idTensor(backend, `${prefix}_x_t`);
        using posterior = scheduler.qPosterior(logPX0, xT, t);
        const expected = golden.floats(`${prefix}_out`);
        assertEquals(posterior.shape, expected.shape);
        // Ten times the error of float32 in the reference: 5e-5, and 1e-4 below −60.
        const tolerance = { absolute: 5e-5, relative: 8e-7 };
        assertClose(await posterior.data(), expected.data, tolerance, prefix);
      }
      assertEquals(backend.memoryUse(), before);
    });

    Deno.test(`${name}: VQDiffusionScheduler.step() draws the tokens of ${path}`, async () => {
      const { golden, scheduler } = await load(path);
      await using backend = await make();
      const before = backend.memoryUse();
      for (const [prefix, t] of casesOf(golden, /^(step_t(\d+))_prev_sample$/)) {
        using logPX0 = golden.tensor(backend, `${prefix}_log_p_x0`);
        using xT = golden.idTensor(backend, `${prefix}_x_t`);
        const generator = new TorchGenerator(await seedOf(golden, prefix));
        const { prevSample } = scheduler.step(logPX0, t, xT, { generator });
        using _prevSample = prevSample;
        const expected = golden.ids(`${prefix}_prev_sample`);
        assertEquals(prevSample.shape, expected.shape);
        assertEquals(await prevSample.data(), expected.data, prefix);
        assertEquals(await xT.data(), golden.ids(`${prefix}_x_t`).data);
      }
      assertEquals(backend.memoryUse(), before);
    });
  }

  Deno.test(`truncate() of the oracle keeps the classes of ${path}`, async () => {
    const { golden } = await load(path);
    const { shape: [batch, classes, pixels], data } = golden.floats("truncate_in");
    for (const rate of ["0.5", "0.86", "1.0"]) {
      const given = floats(data, batch!, classes!, pixels!);
      const rows = computed([batch!, pixels!, classes!], (y) => transpose(given, y));
      const truncated = floats(
        truncate(rows, classes!, { truncationRate: Number(rate) }),
        ...[batch!, pixels!, classes!],
      );
      const kept = computed(given.shape, (y) => transpose(truncated, y));
      const expected = golden.floats(`truncate_${rate}_out`).data;
      kept.forEach((value, i) => {
        // At rate 1 the rounding of exp decides about classes below −14.
        if (rate === "1.0" && data[i]! < -14) return;
        assertEquals(value, expected[i], `rate ${rate}, element ${i}`);
      });
    }
  });
}

Deno.test("VQDiffusionScheduler has the defaults of diffusers", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 13 });
  const json = {
    num_vec_classes: 13,
    num_train_timesteps: 100,
    alpha_cum_start: 0.99999,
    alpha_cum_end: 0.000009,
    gamma_cum_start: 0.000009,
    gamma_cum_end: 0.99999,
  };
  assertEquals(scheduler.config.json, { _class_name: "VQDiffusionScheduler", ...json });
  const same = VQDiffusionScheduler.fromConfig(json);
  for (const property of Object.values(SCHEDULES)) {
    assertEquals(same[property], scheduler[property]);
  }
  assertEquals(scheduler.maskClass, 12);
});

Deno.test("VQDiffusionScheduler.fromPretrained() reads a folder", async () => {
  const config = JSON.stringify({ num_vec_classes: 9, num_train_timesteps: 7 });
  const folder = memoryFolder({ "scheduler/scheduler_config.json": config });
  const scheduler = await VQDiffusionScheduler.fromPretrained(folder, { subfolder: "scheduler" });
  assertEquals(scheduler.config.numVecClasses, 9);
  assertEquals([...scheduler.timesteps], [6, 5, 4, 3, 2, 1, 0]);
  await assertRejects(() => VQDiffusionScheduler.fromPretrained(folder), Error, "scheduler_config");
});

Deno.test("VQDiffusionScheduler.savePretrained() writes what fromPretrained() reads", async () => {
  const path = await Deno.makeTempDir();
  try {
    const scheduler = new VQDiffusionScheduler({ numVecClasses: 9, gammaCumEnd: 0.9 });
    await scheduler.savePretrained(path);
    const copy = await VQDiffusionScheduler.fromPretrained(path);
    assertEquals(copy.config, scheduler.config);
    assertEquals(copy.logCumprodBt, scheduler.logCumprodBt);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("VQDiffusionScheduler refuses options that do not make a schedule", () => {
  const make = (changes: Record<string, unknown>) => () =>
    new VQDiffusionScheduler({ numVecClasses: 13, ...changes });
  assertThrows(make({ numVecClasses: undefined }), TypeError, "numVecClasses is missing");
  assertThrows(make({ numVecClasses: 1 }), RangeError, "numVecClasses is 1");
  assertThrows(make({ numTrainTimesteps: 1.5 }), TypeError, "numTrainTimesteps is 1.5");
  assertThrows(make({ alphaCumEnd: "0" }), TypeError, "alphaCumEnd");
  assertThrows(make({ gammaCumEnd: 1.5 }), RangeError, "gammaCumEnd is 1.5");
  assertThrows(make({ alphaCumStart: 0.9, gammaCumStart: 0.2 }), RangeError, "at most 1");
  assertThrows(
    () => VQDiffusionScheduler.fromConfig({ num_train_timesteps: 100 }),
    TypeError,
    "num_vec_classes is missing",
  );
});

Deno.test("VQDiffusionScheduler.setTimesteps() takes the first timesteps, from the last", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 13 });
  assertEquals(scheduler.timesteps, Int32Array.from({ length: 100 }, (_, i) => 99 - i));
  scheduler.setTimesteps(4);
  assertEquals(scheduler.timesteps, Int32Array.of(3, 2, 1, 0));
  for (const n of [0, 101, 2.5, NaN, -1]) {
    assertThrows(() => scheduler.setTimesteps(n), RangeError, `n is ${n}`);
  }
  assertEquals(scheduler.timesteps, Int32Array.of(3, 2, 1, 0));
});

Deno.test("VQDiffusionScheduler.plan() has the timesteps of diffusers, and rows that are as many", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 13 });
  for (const n of [1, 4, 100]) {
    scheduler.setTimesteps(n);
    const { steps } = scheduler.plan(n);
    const expected = Array.from({ length: n }, (_, i) => n - 1 - i);
    assertEquals(steps.map(({ timestep }) => timestep), expected);
    assertEquals(steps.map(({ row }) => row), expected);
    assertEquals([...scheduler.timesteps], expected);
  }
  for (const n of [0, 101, 2.5, NaN]) {
    assertThrows(
      () => scheduler.plan(n),
      RangeError,
      `n is ${n}, expected an integer from 1 to 100`,
    );
  }
});

Deno.test("VQDiffusionScheduler.plan() has a table with a row for each timestep and one more", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 5, numTrainTimesteps: 3 });
  const plan = scheduler.plan(2);
  assertEquals(tableShape(plan), [4, 6]);
  const rows = plan.table;
  assertEquals([...rows.slice(6, 12)], Object.values(SCHEDULES).map((key) => scheduler[key][1]!));
  assertEquals([...rows.slice(21)], [0, -Infinity, -Infinity]);
});

Deno.test("VQDiffusionScheduler.step() draws anew without a generator", async () => {
  await using backend = await createOracle();
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 101 });
  using logPX0 = backend.tensor(new Float32Array(100 * 64).fill(-Math.log(100)), [1, 100, 64]);
  using xT = backend.tensor(new Int32Array(64).fill(100), [1, 64]);
  const draw = async () => {
    using prevSample = scheduler.step(logPX0, 0, xT).prevSample;
    return await prevSample.data();
  };
  assertNotEquals(await draw(), await draw());
});

Deno.test("VQDiffusionScheduler.step() asks for as much noise as there are classes", async () => {
  await using backend = await createOracle();
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 7 });
  const random = new Random(5);
  using logPX0 = backend.tensor(random.floats(2 * 6 * 3, -9, -1), [2, 6, 3]);
  using xT = backend.tensor(random.ints(6, 7), [2, 3]);
  const asked: number[] = [];
  const generator: RandomGenerator = { fill: (out) => void asked.push(out.length) };
  for (const t of [3, 0]) scheduler.step(logPX0, t, xT, { generator }).prevSample.dispose();
  assertEquals(asked, [2 * 7 * 3, 2 * 6 * 3]);
});

Deno.test("VQDiffusionScheduler refuses arguments that do not fit", async () => {
  await using backend = await createOracle();
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 7 });
  using logPX0 = backend.tensor(new Float32Array(6 * 3), [1, 6, 3]);
  using xT = backend.tensor(new Int32Array(3), [1, 3]);
  using flat = backend.tensor(new Int32Array(3), [3]);
  using longer = backend.tensor(new Int32Array(4), [1, 4]);
  const { bytes } = backend.memoryUse();
  for (const t of [-1, 100, 0.5]) {
    assertThrows(() => scheduler.qPosterior(logPX0, xT, t), RangeError, `t is ${t}`);
    assertThrows(() => scheduler.step(logPX0, t, xT), RangeError, `t is ${t}`);
  }
  assertThrows(() => scheduler.step(logPX0, 1, flat), RangeError, "expected (batch, pixels)");
  assertThrows(() => scheduler.step(logPX0, 1, longer), RangeError, "expected (1, 6, 4)");
  assertThrows(() => scheduler.qPosterior(xT as never, xT, 1), TypeError, "f32");
  const generator = {} as RandomGenerator;
  assertThrows(() => scheduler.step(logPX0, 1, xT, { generator }), TypeError, "generator");
  assert(backend.memoryUse().bytes === bytes);
});

for (const { name, make } of BACKENDS) {
  Deno.test(`${name}: VQDiffusionScheduler.step() takes the step that recordStep() records`, async () => {
    await using backend = await make();
    const [batch, pixels, classes] = [2, 30, 17];
    const scheduler = new VQDiffusionScheduler({ numVecClasses: classes });
    const plan = scheduler.plan(100);
    const random = new Random(8);
    const before = backend.memoryUse();
    for (const t of [99, 40, 1, 0]) {
      // Rows of pixels for the loop, rows of classes for step().
      const logits = random.floats(batch * pixels * (classes - 1), -4, 4);
      using rows = backend.tensor(logits, [batch, pixels, classes - 1]);
      using xT = backend.tensor(random.ints(batch * pixels, classes), [batch, pixels]);
      using frame = backend.frame();
      const logProbs = frame.logSoftmax(rows);
      const logPX0 = frame.transpose(logProbs);
      const tokens = frame.repeat(xT, 1);
      const recorded = scheduler.recordStep(frame, { plan, logProbs, tokens });
      const step = plan.steps[99 - t]!;
      const noise = scheduler.drawNoise(step, { batch, pixels }, new TorchGenerator(t));
      recorded.write(step, noise);
      await recorded.run();
      using prevSample = scheduler.step(logPX0, t, xT, { generator: new TorchGenerator(t) })
        .prevSample;
      assertEquals(await prevSample.data(), await tokens.data(), `t = ${t}`);
    }
    assertEquals(backend.memoryUse(), before);
  });
}

Deno.test("VQDiffusionScheduler.step() takes the row of the plan, and ordinary steps outside it", async () => {
  class Detour extends VQDiffusionScheduler {
    override plan(n: number) {
      return { table: super.plan(n).table, steps: [{ timestep: 60, row: 20 }] };
    }
  }
  await using backend = await createOracle();
  const [ordinary, detour] = [VQDiffusionScheduler, Detour].map((Class) =>
    new Class({ numVecClasses: 9 })
  ) as [VQDiffusionScheduler, VQDiffusionScheduler];
  const random = new Random(4);
  using logPX0 = backend.tensor(random.floats(8 * 200, -9, -1), [1, 8, 200]);
  using xT = backend.tensor(new Int32Array(200).fill(8), [1, 200]);
  const draw = async (scheduler: VQDiffusionScheduler, t: number) => {
    const generator = new TorchGenerator(1);
    using prevSample = scheduler.step(logPX0, t, xT, { generator }).prevSample;
    return await prevSample.data();
  };
  assertEquals(detour.timesteps, Int32Array.of(60));
  assertEquals(await draw(detour, 60), await draw(ordinary, 20));
  assertNotEquals(await draw(detour, 60), await draw(ordinary, 60));
  assertEquals(await draw(detour, 70), await draw(ordinary, 70));
});
