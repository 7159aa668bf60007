// Jobs for tests.

import { assert } from "@std/assert";
import type { RasterImage } from "../../src/images/raster_image.ts";
import type { Job, JobRequest } from "../../src/jobs/job.ts";
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

/** What a job is to draw, of a seed of its own. */
export function seeded(seed: number, steps = 5): JobRequest {
  const request = jobRequest(steps);
  return { ...request, values: { ...request.values, seed: BigInt(seed) } };
}

/** The pictures of a job, when they are drawn. */
export async function imagesOf(job: Job): Promise<readonly RasterImage[]> {
  const state = await job.finished();
  if (state.status === "failed") throw state.error;
  assert(state.status === "done", state.status);
  return state.images;
}

/** What a job without guidance takes that starts from no picture. */
export function plainWork({ values }: JobRequest): GenerationWork {
  const { numInferenceSteps: steps, numImagesPerPrompt } = values;
  return { steps, calls: steps * numImagesPerPrompt };
}
