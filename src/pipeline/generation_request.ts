/**
 * What a generation starts from, made of the arguments of a call.
 *
 * @module
 */

import { checkTextRequest, type TextRequest } from "../conditioning/text.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import type { SamplingPlan } from "../schedulers/sampling_plan.ts";
import type { Scheduler } from "../schedulers/scheduler.ts";
import type { PipelineParts } from "./components.ts";
import { checkGenerateOptions, type StreamOptions } from "./generate_options.ts";
import { limitsOf } from "./generation_parameters.ts";

/** What a generation starts from. */
export interface GenerationRequest {
  /** What the images show. */
  readonly text: TextRequest;
  /** Tokens (images, pixels) to start from. */
  readonly tokens: Int32Array;
  /** Number of images. */
  readonly batch: number;
  /** Takes the steps. */
  readonly scheduler: Scheduler;
  /** Its plan of the steps. */
  readonly plan: SamplingPlan;
  /** Scale of the guidance; undefined for none. */
  readonly guidanceScale: number | undefined;
  /** Sum of probabilities up to which classes are kept. */
  readonly truncationRate: number;
  /** Where the noise comes from. */
  readonly generator: RandomGenerator;
  /** Stops the generation. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Checks all arguments of a call at once and fills in what they leave open.
 *
 * @param prompt Undefined if `options.promptEmbeds` takes its place.
 * @throws {TypeError} If one is of the wrong type, or a component is missing that the text needs.
 * @throws {RangeError} If one is out of range.
 */
export function generationRequest(
  components: PipelineParts,
  prompt: string | readonly string[] | undefined,
  options: StreamOptions,
): GenerationRequest {
  const { transformer, scheduler } = components;
  const { sampleSize, crossAttentionDim } = transformer.config;
  const pixels = sampleSize ** 2;
  const { numVecClasses } = scheduler.config;
  const limits = { ...limitsOf({ components }), numVecClasses, pixels, crossAttentionDim };
  const request = checkGenerateOptions(prompt, options, limits);
  const { batch, numInferenceSteps, truncationRate, generator, signal } = request;
  // From here on there is no guidance where there is no scale.
  const guidanceScale = scheduler.guides(request.guidanceScale) ? request.guidanceScale : undefined;
  const text = { ...request, guided: guidanceScale !== undefined };
  checkTextRequest(components, text);
  signal?.throwIfAborted();
  const tokens = request.latents ?? new Int32Array(batch * pixels).fill(scheduler.maskClass);
  const plan = scheduler.plan(numInferenceSteps, { pixels });
  return { text, tokens, batch, scheduler, plan, guidanceScale, truncationRate, generator, signal };
}
