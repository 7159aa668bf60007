// The moving average, against that of three steps of Microsoft's original.

import { assertEquals, assertRejects } from "@std/assert";
import { AdamW } from "../../src/training/adamw.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { ExponentialMovingAverage } from "../../src/training/ema.ts";
import { BACKENDS } from "../backends/backends.ts";
import {
  assertGoldenParameters,
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

const { make } = BACKENDS[1]!;
const LEARNING_RATES = [0.001, 0.003, 0.005];

Deno.test("ExponentialMovingAverage follows the parameters as the original's does", async () => {
  await using backend = await make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  using loss = new DiffusionLoss(transformer, parameters, schedules, { batch: 4, length: 5 });
  const optimizer = new AdamW();
  const average = await ExponentialMovingAverage.start(parameters);
  const batches = new GoldenArrays("text/steps_batches");
  for (const [i, learningRate] of LEARNING_RATES.entries()) {
    await loss.compute(goldenBatch(batches, `step${i + 1}_`));
    await optimizer.step(loss.gradients, learningRate);
    await average.update();
  }
  await average.exchange();
  // Each update takes in a hundredth of what the parameters differ by; the first step's counts three times.
  await assertGoldenParameters(parameters, "ema", LEARNING_RATES.map((rate) => 0.03 * rate));
  await average.exchange();
  await assertGoldenParameters(parameters, "after_3", LEARNING_RATES);
});

Deno.test("ExponentialMovingAverage.start() refuses a decay that is none", async () => {
  await using backend = await make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const start = (decay: number) => ExponentialMovingAverage.start(parameters, { decay });
  await assertRejects(() => start(1.5), RangeError, "decay is 1.5");
  const half = await start(0.5);
  const [{ tensor }] = parameters.tensors as [typeof parameters.tensors[0] & object];
  const before = await tensor.data();
  tensor.write(before.map((value) => value + 2));
  await half.update();
  await half.exchange();
  assertEquals(
    await tensor.data(),
    before.map((value) => 0.5 * value + 0.5 * Math.fround(value + 2)),
  );
});
