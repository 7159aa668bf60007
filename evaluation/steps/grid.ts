// What is compared: samplers, numbers of steps and guidance scales.

import type { Scheduler } from "../../src/schedulers/scheduler.ts";
import type { VQDiffusionSchedulerConfig } from "../../src/schedulers/vq_diffusion_config.ts";
import { VQDiffusionFastScheduler } from "../../src/schedulers/vq_diffusion_fast_scheduler.ts";
import { VQDiffusionPurityScheduler } from "../../src/schedulers/vq_diffusion_purity_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";

/** The samplers by name. */
export const SAMPLERS = ["strided", "cosine", "leading", "fast", "purity"] as const;
/** Name of a sampler. */
export type Sampler = typeof SAMPLERS[number];

/** Numbers of steps that are asked for. */
export const STEPS = [5, 10, 15, 25, 50, 100] as const;

/** Guidance scales; 1 is none. */
export const GUIDANCES = [1, 2, 5] as const;

/** One way to draw. */
export interface Cell {
  readonly sampler: Sampler;
  /** The number of steps asked for, one of {@linkcode STEPS}. */
  readonly steps: number;
  readonly guidance: number;
}

/** A sampler for a number of steps. */
export interface Sampling {
  readonly scheduler: Scheduler;
  readonly numInferenceSteps: number;
}

/** All cells, those without guidance first. The fast sampler takes half of the timesteps at most. */
export function allCells(): Cell[] {
  return GUIDANCES.flatMap((guidance) =>
    STEPS.flatMap((steps) =>
      SAMPLERS.filter((sampler) => sampler !== "fast" || steps < 100)
        .map((sampler): Cell => ({ sampler, steps, guidance }))
    )
  );
}

/** Whether two cells are the same. */
export function isSame(a: Cell, b: Cell): boolean {
  return a.sampler === b.sampler && a.steps === b.steps && a.guidance === b.guidance;
}

/** The scheduler of a cell. */
export function samplingOf(
  { sampler, steps }: Pick<Cell, "sampler" | "steps">,
  config: VQDiffusionSchedulerConfig,
): Sampling {
  if (sampler === "fast") {
    const { inferSpeed, calls } = fastSpeed(steps, config.numTrainTimesteps);
    const scheduler = VQDiffusionFastScheduler.fromConfig(config, { inferSpeed });
    return { scheduler, numInferenceSteps: calls };
  }
  const scheduler = sampler === "purity"
    ? VQDiffusionPurityScheduler.fromConfig(config)
    : new VQDiffusionScheduler({ ...config, timestepSpacing: sampler });
  return { scheduler, numInferenceSteps: steps };
}

/** The speed of the fast sampler whose number of steps is nearest; the lowest of equals. */
export function fastSpeed(
  steps: number,
  numTrainTimesteps: number,
): { readonly inferSpeed: number; readonly calls: number } {
  const speeds = Array.from({ length: numTrainTimesteps - 1 }, (_, i) => {
    const inferSpeed = i + 2;
    return { inferSpeed, calls: Math.ceil((numTrainTimesteps - 1) / inferSpeed) + 1 };
  });
  const distance = ({ calls }: { calls: number }) => Math.abs(calls - steps);
  return speeds.reduce((best, next) => distance(next) < distance(best) ? next : best);
}
