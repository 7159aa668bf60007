// The optimiser, against three steps of Microsoft's original.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AdamW } from "../../src/training/adamw.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import {
  assertGoldenParameters,
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

const LEARNING_RATES = [0.001, 0.003, 0.005];
const NORMS = [123.19166027845627, 5.715713139754007, 14.273091262590548];

for (const { name, make } of BACKENDS.slice(1)) {
  Deno.test(`${name}: AdamW.step() changes parameters as the original does`, async () => {
    await using backend = await make();
    const { transformer, parameters } = await goldenTransformer(backend);
    await using _transformer = transformer;
    const schedules = await goldenScheduler();
    using loss = new DiffusionLoss(transformer, parameters, schedules, { batch: 4, length: 5 });
    const optimizer = new AdamW();
    const batches = new GoldenArrays("text/steps_batches");
    for (const [i, learningRate] of LEARNING_RATES.entries()) {
      const { bounds } = await loss.compute(goldenBatch(batches, `step${i + 1}_`));
      const expected = batches.floats(`step${i + 1}_kl_loss`);
      // Entries with gradients near 0 go their own ways from the first step on.
      assertClose(bounds, expected, { absolute: 2e-3, relative: 1e-3 }, `bounds of step ${i}`);
      const norm = await optimizer.step(loss.gradients, learningRate);
      assertClose([norm], [NORMS[i]!], { absolute: 0, relative: 2e-3 }, `norm of step ${i}`);
      if (i === 0) await assertGoldenParameters(parameters, "after_1", LEARNING_RATES.slice(0, 1));
    }
    await assertGoldenParameters(parameters, "after_3", LEARNING_RATES);
    assertEquals(optimizer.steps, 3);
  });
}

Deno.test("AdamW.step() refuses gradients that are not finite, and changes nothing then", async () => {
  await using backend = await BACKENDS[1]!.make();
  using tensor = backend.tensor(Float32Array.of(1, 2), [2]);
  using gradient = backend.tensor(Float32Array.of(1, NaN), [2]);
  const parameter = { arrays: [["x", [2]]], tensor } as const;
  const optimizer = new AdamW();
  const step = (rate: number) => optimizer.step([{ parameter, gradient }], rate);
  await assertRejects(() => step(0.1), RangeError, "the norm of the gradients is NaN");
  await assertRejects(() => step(-1), RangeError, "learningRate is -1");
  assertEquals(await tensor.data(), Float32Array.of(1, 2));
  assertEquals(optimizer.steps, 0);
  assertThrows(() => new AdamW({ betas: [0.9, 2] }), RangeError, "betas is 2");
  // Each would make all parameters NaN.
  for (const betas of [[1, 0.9], [0.9, 1]] as const) {
    assertThrows(() => new AdamW({ betas }), RangeError, "betas is 1, expected a number below 1");
  }
  assertThrows(() => new AdamW({ maxGradNorm: NaN }), RangeError, "maxGradNorm is NaN");
});

Deno.test("AdamW.step() lowers the loss of a batch", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  using loss = new DiffusionLoss(transformer, parameters, schedules, { batch: 4, length: 5 });
  const optimizer = new AdamW();
  const batch = goldenBatch(new GoldenArrays("text/batch_main"));
  const losses = [];
  for (let i = 0; i < 30; i++) {
    losses.push((await loss.compute(batch)).loss);
    await optimizer.step(loss.gradients, 3e-3);
  }
  assert(losses.at(-1)! < 0.5 * losses[0]!, `${losses}`);
});
