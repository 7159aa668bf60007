/**
 * What a generation starts from, made of the arguments of a call.
 *
 * @module
 */

import { checkTextRequest, type TextRequest } from "../conditioning/text.ts";
import type { PipelineParts } from "./components.ts";
import { checkGenerateOptions, type StreamOptions } from "./generate_options.ts";
import { limitsOf } from "./generation_parameters.ts";
import { type InitialTokensRequest, startFromPicture } from "./initial_tokens.ts";

/** What a generation starts from. */
export interface GenerationRequest extends InitialTokensRequest {
  /** What the images show. */
  readonly text: TextRequest;
  /** Scale of the guidance; undefined for none. */
  readonly guidanceScale: number | undefined;
  /** Sum of probabilities up to which classes are kept. */
  readonly truncationRate: number;
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
  const whole = scheduler.plan(numInferenceSteps, { pixels });
  const { plan, picture } = options.image === undefined
    ? { plan: whole, picture: undefined }
    : startFromPicture(components, whole, options);
  const { latents } = request;
  return {
    text,
    latents,
    picture,
    batch,
    pixels,
    scheduler,
    plan,
    guidanceScale,
    truncationRate,
    generator,
    signal,
  };
}
