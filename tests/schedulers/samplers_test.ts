// Samplers by name.

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkSampler,
  isSampler,
  namedScheduler,
  stepsOfSampler,
} from "../../src/schedulers/samplers.ts";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import { VQDiffusionPurityScheduler } from "../../src/schedulers/vq_diffusion_purity_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";

const { config } = new VQDiffusionScheduler({ numVecClasses: 5, gammaCumEnd: 0.8 });

Deno.test("namedScheduler() makes the scheduler of a name, on the schedules of another", () => {
  for (const spacing of ["leading", "strided", "cosine"] as const) {
    const scheduler = namedScheduler(spacing, config);
    assert(scheduler instanceof VQDiffusionScheduler);
    assertEquals(scheduler.config.timestepSpacing, spacing);
    assertEquals(scheduler.config.gammaCumEnd, 0.8);
  }
  for (const [name, speed] of [["fast", 4], ["fast:2", 2], ["fast:7.5", 7.5]] as const) {
    const scheduler = namedScheduler(name, config);
    assert(scheduler instanceof VQDiffusionFastScheduler);
    assertEquals([scheduler.inferSpeed, scheduler.config.gammaCumEnd], [speed, 0.8]);
  }
  const purities = [["purity", 2, 1], ["purity:1", 1, 1], ["purity:2:0.5", 2, 0.5]] as const;
  for (const [name, rule, weight] of purities) {
    const scheduler = namedScheduler(name, config);
    assert(scheduler instanceof VQDiffusionPurityScheduler);
    assertEquals([scheduler.priorRule, scheduler.priorWeight], [rule, weight]);
  }
  // Also on those of one of Microsoft's.
  const again = namedScheduler("strided", namedScheduler("fast", config).config);
  assertEquals(again.config, namedScheduler("strided", config).config);
});

Deno.test("stepsOfSampler() gives the steps that follow from a speed, and leaves others open", () => {
  for (const name of ["fast", "fast:2", "fast:3.9", "fast:10", "fast:99", "fast:100"]) {
    const plan = namedScheduler(name, config).plan(100, { pixels: 4 });
    assertEquals(stepsOfSampler(name, 100), plan.steps.length, name);
  }
  for (const name of ["leading", "strided", "cosine", "purity"]) {
    assertEquals(stepsOfSampler(name, 100), undefined);
  }
});

Deno.test("checkSampler() and namedScheduler() refuse what there is not", () => {
  const subject = { task: "generate", name: "sampler" };
  const wrong = ["", "Fast", "fast:", "fast:x", "fast:-2", "fast:1e3", "purity:3", "purity:1:"];
  for (const name of [...wrong, "purity:1:2:3", "strided:2", "euler a"]) {
    assert(!isSampler(name), name);
    const message = `sampler is ${
      JSON.stringify(name)
    }, expected "leading", "strided", "cosine", "fast"`;
    assertThrows(() => checkSampler(subject, name), RangeError, `Cannot generate: ${message}`);
    assertThrows(() => namedScheduler(name, config), RangeError, message);
  }
  assertThrows(() => checkSampler(subject, 4), TypeError, "sampler is 4, expected one of");
  checkSampler(subject, undefined);
  for (const name of ["fast:1", "fast:101"]) {
    const message = `sampler is "${name}", expected a speed from 2 to 100, the timesteps`;
    assertThrows(() => namedScheduler(name, config), RangeError, message);
  }
  // A scheduler of somebody's own has no schedules to take over.
  const own = { numVecClasses: 5, numTrainTimesteps: 100 };
  assertThrows(() => namedScheduler("strided", own), TypeError, "expected a scheduler of VQ-");
});
