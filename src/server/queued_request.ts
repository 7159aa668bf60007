/**
 * Jobs that come from a queue, checked as requests are that come over HTTP.
 *
 * @module
 */

import type { JobRequest } from "../jobs/job.ts";
import { limitsOf } from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { orderOf } from "./order.ts";
import {
  checkNegative,
  numberOf,
  promptOf,
  refuse,
  type RequestLimits,
  requestRanges,
  type RequestValues,
} from "./request_parameters.ts";

/**
 * Reads what a job is to draw, by the names of parameters over HTTP.
 *
 * @throws {RequestError} If it is missing or out of range.
 */
export function queuedRequest(
  fields: RequestValues,
  pipe: VQDiffusionPipeline,
  limits: Pick<RequestLimits, "maxSteps" | "maxImages" | "maxPromptLength">,
): JobRequest {
  const { maxPromptLength } = limits;
  const prompt = fields["prompt"] === undefined
    ? undefined
    : promptOf(fields["prompt"], maxPromptLength);
  checkNegative("negative", fields["negative"], maxPromptLength);
  // A random one would be another with each worker.
  if (fields["seed"] === undefined) refuse("seed", "a number", undefined);
  const previewSteps = numberOf("previews", fields["previews"], true, { min: 0, max: 1000 }) ?? 0;
  const ranges = requestRanges(limits);
  // Styles that it does not say are left to the pipeline, which knows whether there is a picture.
  const parameters = { prompt, isPictured: true, previews: previewSteps, values: fields };
  const { values } = orderOf(parameters, { ...limitsOf(pipe), ranges });
  const styles = fields["styles"] === undefined ? undefined : values.styles;
  return { prompt, values: { ...values, styles }, previewSteps };
}
