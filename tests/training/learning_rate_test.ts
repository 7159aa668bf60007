// Learning rates, against those of Microsoft's two schedules.

import { assertEquals, assertThrows } from "@std/assert";
import {
  CosineLearningRate,
  PlateauLearningRate,
  warmedCosine,
} from "../../src/training/learning_rate.ts";
import { assertClose } from "../backends/operations/trial.ts";

const GOLDEN = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/training/learning_rates.json", import.meta.url)),
);
// Sums and products of a few float64 numbers.
const EXACT = { absolute: 0, relative: 1e-12 };

Deno.test("PlateauLearningRate gives the rates of the original, also from a state", () => {
  const { base_lr, warmup_lr, warmup, factor, patience, min_lr, threshold } = GOLDEN.plateau;
  const make = () =>
    new PlateauLearningRate({
      base: base_lr,
      peak: warmup_lr,
      warmUp: warmup,
      min: min_lr,
      factor,
      patience,
      threshold,
    });
  let rate = make();
  const found = GOLDEN.plateau.loss_of_iteration.map((loss: number) => {
    const { value, state } = rate;
    rate = make();
    rate.state = state;
    rate.advance(loss);
    return value;
  });
  assertClose(found, GOLDEN.plateau.lr_of_iteration, EXACT, "plateau");
});

Deno.test("PlateauLearningRate warms up by default as for COCO", () => {
  const rate = new PlateauLearningRate();
  const expected: Record<string, number> = GOLDEN.coco.lr_at_iteration;
  for (let i = 0; i <= 1099; i++) {
    // The original adds the increments up, as this does: a thousand roundings.
    if (i in expected) assertClose([rate.value], [expected[i]!], EXACT, `step ${i}`);
    rate.advance(1);
  }
});

Deno.test("CosineLearningRate gives the rates of the original, also from a state", () => {
  const { base_lr, warmup_lr, warmup, min_lr, T_max } = GOLDEN.cosine;
  const make = () =>
    new CosineLearningRate({
      base: base_lr,
      peak: warmup_lr,
      warmUp: warmup,
      min: min_lr,
      steps: T_max,
    });
  let rate = make();
  const found = GOLDEN.cosine.lr_of_iteration.map(() => {
    const { value, state } = rate;
    rate = make();
    rate.state = state;
    rate.advance();
    return value;
  });
  assertClose(found, GOLDEN.cosine.lr_of_iteration, EXACT, "cosine");
});

Deno.test("CosineLearningRate begins at its peak without a warm-up, and stays at the least", () => {
  const rate = new CosineLearningRate({ base: 0, peak: 1, warmUp: 0, min: 0.25, steps: 3 });
  const found = Array.from({ length: 6 }, () => {
    const { value } = rate;
    rate.advance();
    return value;
  });
  assertClose(found, [1, 1, 0.75, 0.25, 0.25, 0.25], EXACT, "rates");
});

Deno.test("warmedCosine() rises to the greatest rate and falls to 0", () => {
  for (const warmUp of [0, 1, 4]) {
    const rate = warmedCosine(0.5, warmUp, 10);
    const found = Array.from({ length: 12 }, () => {
      const { value } = rate;
      rate.advance();
      return value;
    });
    const top = warmUp === 0 ? 0 : warmUp + 1;
    assertClose([Math.max(...found), found[top]!], [0.5, 0.5], EXACT, "the greatest");
    assertClose(found.slice(-1), [0], { absolute: 1e-12 }, "the last");
    if (warmUp > 0) assertClose([found[0]!], [0.5 / (warmUp + 2)], EXACT, "the first");
  }
});

Deno.test("learning rates refuse options that do not fit", () => {
  const options = { base: 0, peak: 1, warmUp: 5, min: 0, steps: 5 };
  assertThrows(() => new CosineLearningRate(options), RangeError, "steps is 5");
  assertThrows(() => new PlateauLearningRate({ patience: -1 }), RangeError, "patience is -1");
  assertThrows(() => new PlateauLearningRate({ peak: NaN }), RangeError, "peak is NaN");
  assertEquals(new PlateauLearningRate({ warmUp: 0 }).value, 2e-4);
});
