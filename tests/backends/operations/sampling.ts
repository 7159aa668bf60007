// Tests of Frame.posterior() and Frame.sampleStep().

import { assert, assertEquals } from "@std/assert";
import type { Backend, PredictStartOptions, Tensor } from "../../../src/backends/backend.ts";
import type { SampleStepInputs } from "../../../src/backends/recording.ts";
import { noiseSchedules, scheduleRows } from "../../../src/schedulers/noise_schedules.ts";
import { computed, floats, ints, type Naive } from "../naive/arrays.ts";
import { logSoftmax } from "../naive/rows.ts";
import { noisedLogits, posterior } from "../naive/sampling.ts";
import { assertClose, type MakeBackend, Random, type Refusals, result, Trial } from "./trial.ts";

const TIMESTEPS = 100;

// Batch, pixels, classes with the mask.
const SHAPES: readonly [number, number, number][] = [
  [1, 1, 2],
  [1, 5, 3],
  [2, 8, 13],
  [3, 7, 65],
  [1, 9, 130],
  [2, 3, 1025],
];

/** Registers the tests. */
export function testSampling(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.posterior() is that of the oracle`, async () => {
    await using backend = await makeBackend();
    for (const sizes of SHAPES) {
      for (const row of [0, 1, 2, 50, TIMESTEPS - 1]) {
        await comparePosterior(backend, new Step(sizes, row));
      }
    }
  });

  Deno.test(`${name}: Frame.sampleStep() draws the tokens of the oracle`, async () => {
    await using backend = await makeBackend();
    for (const sizes of SHAPES) {
      for (const row of [0, 1, 37, TIMESTEPS - 1]) {
        for (const guidanceScale of [undefined, 5]) {
          for (const truncationRate of [undefined, 0.5, 0.86, 1]) {
            await compareStep(backend, new Step(sizes, row, { guidanceScale, truncationRate }));
          }
        }
      }
    }
  });

  Deno.test(`${name}: Frame.sampleStep() keeps the best class at any truncation rate`, async () => {
    await using backend = await makeBackend();
    for (const rate of [0, 1e-6]) {
      await compareStep(backend, new Step([2, 16, 33], 0, { truncationRate: rate }));
    }
  });

  Deno.test(`${name}: Frame.sampleStep() keeps no more than the best classes`, async () => {
    await using backend = await makeBackend();
    for (const sizes of SHAPES) {
      for (const row of [0, 37]) {
        for (const topK of [1, 2, 40, 2 ** 40]) {
          for (const truncationRate of [undefined, 0.86]) {
            await compareStep(backend, new Step(sizes, row, { topK, truncationRate }));
          }
          await compareStep(backend, new Step(sizes, row, { topK, guidanceScale: 5 }));
        }
      }
    }
  });

  Deno.test(`${name}: Frame.sampleStep() keeps the first of equals`, async () => {
    await using backend = await makeBackend();
    const step = new Step([1, 1, 300], 0, { topK: 130 });
    step.logProbs.fill(-Math.log(299));
    // The 131st class would win, and after it the 130th.
    step.noise.fill(0.5);
    step.noise[130] = 0.999;
    step.noise[129] = 0.9;
    const { data } = await result(backend, (t) => step.record(t));
    assertEquals([...data], [129]);
  });

  Deno.test(`${name}: Frame.sampleStep() takes the first of equals`, async () => {
    await using backend = await makeBackend();
    const step = new Step([1, 6, 18], 0);
    step.logProbs.fill(-Math.log(17));
    step.noise.fill(0.5);
    const { data } = await result(backend, (t) => step.record(t));
    assertEquals([...data], [0, 0, 0, 0, 0, 0]);
  });

  Deno.test(`${name}: Frame.sampleStep() takes the extremes of uniform noise`, async () => {
    await using backend = await makeBackend();
    for (const row of [0, 60]) {
      const step = new Step([1, 40, 21], row);
      const extremes = [0, 2 ** -24, 1 - 2 ** -24, 1 - 2 ** -23, 0.5];
      step.noise.set(step.noise.map((value) => extremes[Math.floor(value * 5)]!));
      await compareStep(backend, step);
    }
  });
}

/** Inputs of a step: about half of the tokens masked, predictions of all sharpnesses. */
class Step {
  readonly batch: number;
  readonly pixels: number;
  readonly classes: number;
  readonly schedule: Float32Array;
  readonly logProbs: Float32Array;
  readonly latents: Int32Array;
  readonly noise: Float32Array;

  constructor(
    [batch, pixels, classes]: readonly [number, number, number],
    readonly row: number,
    readonly options: PredictStartOptions = {},
  ) {
    [this.batch, this.pixels, this.classes] = [batch, pixels, classes];
    const random = new Random(classes + row);
    const rows = (options.guidanceScale === undefined ? 1 : 2) * batch * pixels;
    const logits = random.floats(rows * (classes - 1), -4, 4);
    const sharpness = (i: number) => 1 + Math.floor(i / (classes - 1)) % 5;
    const sharp = floats(logits.map((value, i) => value * sharpness(i)), rows, classes - 1);
    this.logProbs = computed(sharp.shape, (y) => logSoftmax(sharp, y));
    this.latents = random.ints(batch * pixels, 2 * classes).map((id) => Math.min(id, classes - 1));
    this.noise = random.floats(batch * classes * pixels, 0, 1);
    this.schedule = scheduleRows(noiseSchedules({
      numVecClasses: classes,
      numTrainTimesteps: TIMESTEPS,
      alphaCumStart: 0.99999,
      alphaCumEnd: 0.000009,
      gammaCumStart: 0.000009,
      gammaCumEnd: 0.99999,
    }));
  }

  get label(): string {
    const options = JSON.stringify(this.options);
    return `${this.batch} × ${this.pixels} of ${this.classes} at ${this.row}, ${options}`;
  }

  inputs(t: Trial) {
    return {
      logProbs: t.tensor(
        this.logProbs,
        this.logProbs.length / this.pixels / (this.classes - 1),
        this.pixels,
        this.classes - 1,
      ),
      latents: t.ids(this.latents, this.batch, this.pixels),
      schedule: t.tensor(this.schedule, TIMESTEPS + 1, 6),
      row: t.ids([this.row], 1),
    };
  }

  /** The arguments of the naive functions. */
  get naive(): SampleStepInputs<Naive> {
    const { batch, pixels, classes, options } = this;
    const rows = this.logProbs.length / (classes - 1);
    return {
      logProbs: floats(this.logProbs, rows, classes - 1),
      latents: ints(this.latents, batch, pixels),
      noise: floats(this.noise, batch, classes, pixels),
      schedule: floats(this.schedule, TIMESTEPS + 1, 6),
      row: ints([this.row], 1),
      lastRow: TIMESTEPS,
      ...{ batch, pixels, classes },
      ...options,
    };
  }

  record(t: Trial): Tensor<"i32"> {
    const { logProbs, ...inputs } = this.inputs(t);
    t.frame.sampleStep(logProbs, {
      ...inputs,
      noise: t.tensor(this.noise, this.batch, this.classes, this.pixels),
      ...this.options,
    });
    return inputs.latents;
  }
}

async function comparePosterior(backend: Backend, step: Step): Promise<void> {
  const expected = computed(
    [step.batch, step.pixels, step.classes],
    (y) => posterior(step.naive, y),
  );
  using trial = new Trial(backend);
  const { logProbs, latents, ...options } = step.inputs(trial);
  const out = trial.frame.posterior(logProbs, latents, options);
  await trial.frame.run();
  assertEquals([...out.shape], [step.batch, step.pixels, step.classes]);
  // Tolerance of the reference: ten times the error of float32 in it, twice that for logarithms
  // below −60, whose spacing is twice as wide.
  assertClose(await out.data(), expected, { absolute: 5e-5, relative: 8e-7 }, step.label);
}

/** Tokens have to be the oracle's, or as good: float32 may tip a near tie of noised logits. */
async function compareStep(backend: Backend, step: Step): Promise<void> {
  const noised = noisedLogits(step.naive);
  const { data } = await result(backend, (t) => step.record(t));
  data.forEach((token, i) => {
    const best = Math.max(...noised[i]!);
    const lost = best - (noised[i]![token] ?? -Infinity);
    assert(lost <= 2e-4, `${step.label}: row ${i} took ${token}, ${lost} below the best`);
  });
}

function posteriorInputs(t: Trial) {
  return { schedule: t.floats(5, 6), row: t.ids([1], 1) };
}

function stepInputs(t: Trial) {
  return { ...posteriorInputs(t), latents: t.ids([0, 1, 2], 1, 3), noise: t.floats(1, 9, 3) };
}

/** Calls with arguments that do not fit. */
export const SAMPLING_REFUSALS: Refusals = {
  posterior: [
    (t, f) => f.posterior(t.floats(1, 3, 8), t.ids([1, 2], 1, 2), posteriorInputs(t)),
    (t, f) =>
      f.posterior(t.floats(1, 2, 8), t.ids([1, 2], 1, 2), {
        ...posteriorInputs(t),
        schedule: t.floats(5, 5),
      }),
    (t, f) =>
      f.posterior(t.floats(1, 2, 8), t.ids([1, 2], 1, 2), {
        ...posteriorInputs(t),
        row: t.ids([1, 2], 2),
      }),
  ],
  sampleStep: [
    (t, f) => f.sampleStep(t.floats(1, 4, 8), stepInputs(t)),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), guidanceScale: 5 }),
    (t, f) => f.sampleStep(t.floats(2, 3, 8), stepInputs(t)),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), noise: t.floats(1, 8, 3) }),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), schedule: t.floats(6, 5) }),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), topK: 0 }),
    (t, f) => f.sampleStep(t.floats(1, 3, 8), { ...stepInputs(t), topK: 1.5 }),
  ],
};
