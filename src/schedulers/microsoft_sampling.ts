/**
 * What all samplers of Microsoft's code do otherwise than diffusers.
 *
 * @module
 */

import type { Frame } from "../backends/backend.ts";
import { SCHEDULE_COLUMNS } from "../backends/backend.ts";
import type { SamplingPlan } from "./sampling_plan.ts";
import type { StepInputs } from "./scheduler.ts";

/** Guidance at a scale that is nearer to 1 has no effect worth a second prediction. */
const LEAST_GUIDANCE = 0.001;

/** Whether there is guidance at this scale: unlike in diffusers also below 1. */
export function guidesAtScale(guidanceScale: number): boolean {
  return Math.abs(guidanceScale - 1) >= LEAST_GUIDANCE;
}

/** Records guidance and truncation in their order of operations; what is left is a step without them. */
export function recordPrediction(frame: Frame, inputs: StepInputs): StepInputs {
  const { plan, logProbs, tokens, guidanceScale, truncationRate, topK } = inputs;
  const predicted = frame.predictStart(logProbs, { guidanceScale, truncationRate, topK });
  return { plan, logProbs: predicted, tokens };
}

/**
 * The same plan with a row of no noise, the last of the table, before the others: no step is at row 0 then,
 * and the last, too, takes noise for all classes and goes by the posterior, which at no noise is the
 * prediction itself.
 */
export function withoutRow0({ table, steps }: SamplingPlan): SamplingPlan {
  const noNoise = table.subarray(table.length - SCHEDULE_COLUMNS.length);
  return {
    table: Float32Array.of(...noNoise, ...table),
    steps: steps.map((step) => ({ ...step, row: step.row + 1 })),
  };
}
