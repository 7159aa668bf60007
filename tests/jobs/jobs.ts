// Jobs for tests.

import type { JobRequest } from "../../src/jobs/job.ts";
import type { GenerationWork } from "../../src/pipeline/generation_work.ts";

/** What a job is to draw: so many steps of one picture. */
export function jobRequest(numInferenceSteps = 10): JobRequest {
  const values = {
    seed: 1n,
    numInferenceSteps,
    guidanceScale: 1,
    truncationRate: 1,
    numImagesPerPrompt: 1,
  };
  return { prompt: "a cat", values, previewSteps: 0 };
}

/** What a job without guidance takes that starts from no picture. */
export function plainWork({ values }: JobRequest): GenerationWork {
  const { numInferenceSteps: steps, numImagesPerPrompt } = values;
  return { steps, calls: steps * numImagesPerPrompt };
}
