// Strided and cosine steps: the exact transition from one of some timesteps to the next, against plain matrices.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { tableShape } from "../../src/schedulers/sampling_plan.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { BACKENDS } from "../backends/backends.ts";
import { createOracle } from "../backends/oracle_backend.ts";
import { assertClose, Random } from "../backends/operations/trial.ts";
import { temporaryFolder } from "../temporary_folder.ts";

/** Three classes and the mask. */
const CLASSES = 4;
const TIMESTEPS = 20;
const STEPS = [1, 2, 3, 7, TIMESTEPS - 1, TIMESTEPS];
const SPACINGS = ["strided", "cosine"] as const;

/** A distribution of the data, which a token is drawn from. */
const DATA = [0.5, 0.3, 0.2];

type Matrix = number[][];

function strided(options = {}): VQDiffusionScheduler {
  return spread("strided", options);
}

function spread(timestepSpacing: typeof SPACINGS[number], options = {}): VQDiffusionScheduler {
  return new VQDiffusionScheduler({
    ...{ numVecClasses: CLASSES, numTrainTimesteps: TIMESTEPS, timestepSpacing },
    ...options,
  });
}

/** q(x_{t+1} | x_t) as a matrix (from, to), from the probabilities to keep, to replace and to mask. */
function transition(keep: number, replace: number, mask: number): Matrix {
  return Array.from({ length: CLASSES }, (_, from) =>
    Array.from({ length: CLASSES }, (_, to) => {
      if (from === CLASSES - 1) return to === from ? 1 : 0;
      if (to === CLASSES - 1) return mask;
      return replace + (to === from ? keep : 0);
    }));
}

function product(a: Matrix, b: Matrix): Matrix {
  return a.map((row) =>
    b[0]!.map((_, to) => row.reduce((sum, value, k) => sum + value * b[k]![to]!, 0))
  );
}

/** The transition of each timestep. */
function singleSteps({ config }: VQDiffusionScheduler): Matrix[] {
  const linear = (t: number, start: number, end: number) =>
    start + (end - start) * t / (TIMESTEPS - 1);
  const keep = (t: number) => t < 0 ? 1 : linear(t, config.alphaCumStart, config.alphaCumEnd);
  const mask = (t: number) => t < 0 ? 0 : linear(t, config.gammaCumStart, config.gammaCumEnd);
  return Array.from({ length: TIMESTEPS }, (_, t) => {
    const a = keep(t) / keep(t - 1);
    const c = 1 - (1 - mask(t)) / (1 - mask(t - 1));
    return transition(a, (1 - a - c) / (CLASSES - 1), c);
  });
}

/** The transition over some timesteps, by multiplying those of each. */
function composed(steps: readonly Matrix[]): Matrix {
  const none = transition(1, 0, 0);
  return steps.reduce(product, none);
}

for (const [spacing, n] of SPACINGS.flatMap((name) => STEPS.map((n) => [name, n] as const))) {
  Deno.test(`VQDiffusionScheduler.plan() composes the transitions of ${n} ${spacing} steps`, () => {
    for (const options of [{}, { gammaCumEnd: 0.5 }, { alphaCumEnd: 0.3, gammaCumEnd: 0.6 }]) {
      const scheduler = spread(spacing, options);
      const { table, steps } = scheduler.plan(n);
      assertEquals(tableShape({ table, steps }), [n + 1, 6]);
      assertEquals(steps.map(({ row }) => row), Array.from({ length: n }, (_, i) => n - 1 - i));
      assertEquals(steps[0]!.timestep, TIMESTEPS - 1);
      const single = singleSteps(scheduler);
      for (const [i, { timestep, row }] of steps.entries()) {
        const before = steps[i + 1]?.timestep ?? -1;
        assert(before < timestep);
        const [a, b, c, cumA, cumB, cumC] = table.slice(6 * row, 6 * row + 6).map(Math.exp);
        // Logarithms are rounded to float32; those of the smallest probabilities are near −12.
        const tolerance = { absolute: 0, relative: 2e-6 };
        const label = `${before} to ${timestep}`;
        const step = composed(single.slice(before + 1, timestep + 1));
        assertClose(transition(a!, b!, c!).flat(), step.flat(), tolerance, label);
        const all = composed(single.slice(0, timestep + 1));
        assertClose(transition(cumA!, cumB!, cumC!).flat(), all.flat(), tolerance, label);
      }
      assertEquals([...table.slice(6 * n + 3)], [0, -Infinity, -Infinity]);
    }
  });

  Deno.test(`VQDiffusionScheduler: the marginals of ${n} ${spacing} steps are those of the noise`, async () => {
    await using backend = await createOracle();
    const scheduler = spread(spacing);
    const { table, steps } = scheduler.plan(n);
    const noise = singleSteps(scheduler);
    const marginal = (t: number) =>
      composed(noise.slice(0, t + 1)).slice(0, -1).reduce(
        (sum, row, k) => sum.map((value, to) => value + DATA[k]! * row[to]!),
        [0, 0, 0, 0],
      );
    let known = marginal(TIMESTEPS - 1);
    for (const [i, { timestep, row }] of steps.entries()) {
      // A perfect network: p(x_0 | x_t) by Bayes' rule, for a pixel of each x_t.
      const cumulative = composed(noise.slice(0, timestep + 1));
      const predictions = Array.from({ length: CLASSES }, (_, token) => {
        const joint = DATA.map((p, k) => p * cumulative[k]![token]!);
        const sum = joint.reduce((a, b) => a + b);
        return joint.map((p) => Math.log(p / sum));
      });
      using frame = backend.frame();
      const logProbs = backend.tensor(
        Float32Array.from(predictions.flat()),
        [1, CLASSES, CLASSES - 1],
      );
      const posterior = frame.posterior(
        logProbs,
        backend.tensor(Int32Array.of(0, 1, 2, 3), [1, CLASSES]),
        {
          schedule: backend.tensor(table, [n + 1, 6]),
          row: backend.tensor(Int32Array.of(row), [1]),
        },
      );
      await frame.run();
      const probabilities = (await posterior.data()).map(Math.exp);
      const next = known.map((_, to) =>
        known.reduce((sum, p, token) => sum + p * probabilities[token * CLASSES + to]!, 0)
      );
      const before = steps[i + 1]?.timestep ?? -1;
      const expected = before < 0 ? [...DATA, 0] : marginal(before);
      // Rows of float32 logarithms; their error grows from step to step.
      assertClose(next, expected, { absolute: 1e-5 }, `${timestep} to ${before}`);
      known = next;
    }
  });
}

Deno.test("VQDiffusionScheduler.plan() of all strided or cosine steps has the rows of leading ones", () => {
  for (const numTrainTimesteps of [2, 25, 100]) {
    const options = { numVecClasses: 33, numTrainTimesteps };
    const leading = new VQDiffusionScheduler(options).plan(numTrainTimesteps);
    for (const spacing of SPACINGS) {
      assertEquals(spread(spacing, options).plan(numTrainTimesteps), leading);
    }
  }
});

Deno.test("VQDiffusionScheduler.plan() takes the timesteps of a cosine, none of them twice", () => {
  const timesteps = (n: number, numTrainTimesteps: number) => {
    return spread("cosine", { numTrainTimesteps }).plan(n).steps.map(({ timestep }) => timestep);
  };
  // 100 cos(πi / 16), less one.
  assertEquals(timesteps(8, 100), [99, 97, 91, 82, 70, 55, 37, 19]);
  assertEquals(timesteps(4, 5), [4, 3, 2, 1]);
  for (let n = 1; n <= 100; n++) {
    const taken = timesteps(n, 100);
    assertEquals([taken.length, taken[0]], [n, 99]);
    assert(taken.every((timestep, i) => timestep >= 0 && (i === 0 || timestep < taken[i - 1]!)));
  }
});

Deno.test("VQDiffusionScheduler.plan() keeps the rows of steps of one timestep", () => {
  const scheduler = strided();
  const ordinary = new VQDiffusionScheduler({ ...scheduler.config, timestepSpacing: "leading" });
  const { table, steps } = scheduler.plan(TIMESTEPS - 1);
  const all = ordinary.plan(TIMESTEPS).table;
  const longer = steps.filter(({ timestep, row }, i) => {
    const isSingle = timestep - (steps[i + 1]?.timestep ?? -1) === 1;
    if (isSingle) {
      assertEquals(table.slice(6 * row, 6 * row + 6), all.slice(6 * timestep, 6 * timestep + 6));
    }
    return !isSingle;
  });
  assertEquals(longer.length, 1);
});

for (const { name, make } of BACKENDS) {
  Deno.test(`${name}: VQDiffusionScheduler.step() reveals all tokens in one or two strided steps`, async () => {
    await using backend = await make();
    const scheduler = strided({ numVecClasses: 17 });
    using logPX0 = backend.tensor(new Random(3).floats(2 * 16 * 50, -6, -1), [2, 16, 50]);
    for (const n of [1, 2]) {
      scheduler.setTimesteps(n);
      let sample = backend.tensor(new Int32Array(100).fill(16), [2, 50]);
      for (const t of scheduler.timesteps) {
        using before = sample;
        const generator = new TorchGenerator(t);
        sample = scheduler.step(logPX0, t, before, { generator }).prevSample;
      }
      using last = sample;
      assert((await last.data()).every((token) => token < 16));
    }
  });
}

Deno.test("VQDiffusionScheduler reads, writes and replaces timestep_spacing", async () => {
  const json = { num_vec_classes: 9, num_train_timesteps: 10 };
  const leading = VQDiffusionScheduler.fromConfig(json);
  assertEquals(leading.config.timestepSpacing, "leading");
  assertEquals([...leading.plan(2).steps].map(({ timestep }) => timestep), [1, 0]);
  const other = new VQDiffusionScheduler({ ...leading.config, timestepSpacing: "strided" });
  await using folder = await temporaryFolder();
  await other.savePretrained(folder.path);
  const read = await VQDiffusionScheduler.fromPretrained(folder.path);
  assertEquals(read.config, other.config);
  assertEquals(read.config.json, { ...json, timestep_spacing: "strided" });
  assertEquals([...read.plan(2).steps].map(({ timestep }) => timestep), [9, 4]);
  read.setTimesteps(5);
  assertEquals([...read.timesteps], [9, 7, 5, 3, 1]);
});

Deno.test("VQDiffusionScheduler refuses a spacing that it does not know", async () => {
  const expected = 'expected "leading", "strided" or "cosine"';
  assertThrows(() => strided({ timestepSpacing: "linspace" }), RangeError, expected);
  const text = JSON.stringify({ num_vec_classes: 9, timestep_spacing: "linspace" });
  const folder = memoryFolder({ "scheduler_config.json": text });
  await assertRejects(() => VQDiffusionScheduler.fromPretrained(folder), RangeError, expected);
});
