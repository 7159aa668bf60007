import { assertEquals } from "@std/assert";
import { allCells, fastSpeed, samplingOf, STEPS } from "../../../evaluation/steps/grid.ts";
import { VQDiffusionScheduler } from "../../../src/schedulers/vq_diffusion_scheduler.ts";

const { config } = new VQDiffusionScheduler({ numVecClasses: 17 });

Deno.test("fastSpeed() finds the lowest speed with the nearest number of steps", () => {
  const speeds = STEPS.slice(0, -1).map((steps) => fastSpeed(steps, 100));
  assertEquals(speeds, [
    { inferSpeed: 25, calls: 5 },
    { inferSpeed: 11, calls: 10 },
    { inferSpeed: 7, calls: 16 },
    { inferSpeed: 4, calls: 26 },
    { inferSpeed: 2, calls: 51 },
  ]);
});

Deno.test("samplingOf() makes schedulers that take the steps they are asked for", () => {
  for (const { sampler, steps } of allCells()) {
    const { scheduler, numInferenceSteps } = samplingOf({ sampler, steps }, config);
    const plan = scheduler.plan(numInferenceSteps, { pixels: 64 });
    const timesteps = plan.steps.map(({ timestep }) => timestep);
    // A picture of 64 tokens has no more to reveal than 64 steps can.
    const most = sampler === "purity" ? 64 : Infinity;
    const first = sampler === "leading" ? steps - 1 : 99;
    if (steps <= most) assertEquals(timesteps[0], first, sampler);
    const taken = sampler === "fast" ? fastSpeed(steps, 100).calls : Math.min(steps, most);
    assertEquals(timesteps.length, taken, sampler);
  }
});
