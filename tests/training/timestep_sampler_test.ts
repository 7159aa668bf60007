import { assert, assertEquals, assertThrows } from "@std/assert";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { TimestepSampler } from "../../src/training/timestep_sampler.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { GoldenArrays } from "./golden_training.ts";

const [STEPS, BATCH, T, CLASSES, PIXELS] = [40, 8, 10, 13, 16] as const;

Deno.test("TimestepSampler.draw() draws the original's timesteps, by importance from step 22 on", () => {
  const golden = new GoldenArrays("importance_t10/run");
  const row = (name: string, step: number, width: number) =>
    golden.floats(name).subarray(step * width, (step + 1) * width);
  const generator = new TorchGenerator(3);
  const noise = new Float32Array(BATCH * CLASSES * PIXELS);
  const sampler = new TimestepSampler(T);
  let important = 0;
  for (let step = 0; step < STEPS; step++) {
    const { timesteps, probabilities } = sampler.draw(generator, BATCH);
    assertEquals(
      timesteps,
      golden.ids("t").slice(step * BATCH, (step + 1) * BATCH),
      `step ${step}`,
    );
    // Divisions and sums of ten numbers in float32.
    assertClose(probabilities, row("pt", step, BATCH), { absolute: 1e-7 }, `pt of step ${step}`);
    if (new Set(probabilities).size > 1) important++;
    generator.fill(noise);
    sampler.update(timesteps, row("kl_loss", step, BATCH));
    assertClose(
      sampler.history,
      row("Lt_history", step, T),
      { absolute: 0, relative: 1e-6 },
      `history after step ${step}`,
    );
    assertEquals(sampler.counts, row("Lt_count", step, T).slice());
  }
  assert(important >= 17, `${important} steps by importance`);
  const after = golden.floats("pt_all_after_last");
  assertClose(sampler.probabilities, after, { absolute: 1e-7 }, "probabilities after all");
});

Deno.test("TimestepSampler.update() keeps the later of two losses of a timestep", () => {
  const sampler = new TimestepSampler(4);
  sampler.update(Int32Array.of(2, 2), [10, 1]);
  assertClose(sampler.history, [0, 0, 0.1, 0], { absolute: 1e-8 }, "history");
  assertEquals(sampler.counts, Float32Array.of(0, 0, 2, 0));
});

Deno.test("TimestepSampler refuses a number of timesteps that is none", () => {
  assertThrows(() => new TimestepSampler(0), RangeError, "numTrainTimesteps");
  assertThrows(() => new TimestepSampler(1.5), RangeError, "numTrainTimesteps");
});
