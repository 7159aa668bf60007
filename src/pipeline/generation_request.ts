/**
 * What a generation starts from, made of the arguments of a call.
 *
 * @module
 */

import {
  checkCondition,
  type ConditionRequest,
  type GenerateInput,
} from "../conditioning/condition.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import type { PipelineParts } from "./components.ts";
import {
  checkGenerateOptions,
  type GenerateRequest,
  type StreamOptions,
} from "./generate_options.ts";
import { limitsOf } from "./generation_parameters.ts";
import type { InitialTokensRequest } from "./starting_point.ts";

/** What a generation starts from. */
export interface GenerationRequest extends InitialTokensRequest {
  /** What the images show. */
  readonly condition: ConditionRequest;
  /** Scale of the guidance; undefined for none. */
  readonly guidanceScale: number | undefined;
  /** Sum of probabilities up to which classes are kept. */
  readonly truncationRate: number;
}

/**
 * Checks all arguments of a call at once and fills in what they leave open.
 *
 * @param prompt Undefined if `options.promptEmbeds` takes its place, or the model is unconditional.
 * @throws {TypeError} If one is of the wrong type, or a component is missing that the text needs.
 * @throws {RangeError} If one is out of range.
 */
export function generationRequest(
  components: PipelineParts,
  prompt: GenerateInput,
  options: StreamOptions,
): GenerationRequest {
  const { transformer: { config }, scheduler } = components;
  const pixels = config.sampleSize ** 2;
  const { numVecClasses } = scheduler.config;
  const limits = { ...limitsOf({ components }), ...config, numVecClasses, pixels };
  const request = checkGenerateOptions(prompt, options, limits);
  const { batch, numInferenceSteps, truncationRate, generator, signal } = request;
  // From here on there is no guidance where there is no scale.
  const guidanceScale = scheduler.guides(request.guidanceScale) ? request.guidanceScale : undefined;
  const condition = conditionOf(request, config, guidanceScale !== undefined);
  checkCondition(components, condition);
  signal?.throwIfAborted();
  const plan = scheduler.plan(numInferenceSteps, { pixels });
  const { latents } = request;
  return {
    condition,
    latents,
    picture: undefined,
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

function conditionOf(
  request: GenerateRequest,
  { conditionType: kind, unconditionalClass }: Transformer2DConfig,
  guided: boolean,
): ConditionRequest {
  if (kind === "text") return { ...request, kind, guided };
  const { classLabels: labels = [], numImagesPerPrompt } = request;
  const unconditional = guided ? unconditionalClass : undefined;
  return kind === "class"
    ? { kind, labels: { labels, numImagesPerPrompt, unconditional } }
    : { kind };
}

/**
 * The request with the picture that it starts from, if there is one.
 *
 * @throws {TypeError} If there is no `vqvae` to encode it.
 * @throws {RangeError} If the `vqvae` does not take colours, or the mask has no white that is drawn.
 */
export async function withPicture(
  components: PipelineParts,
  request: GenerationRequest,
  options: StreamOptions,
): Promise<GenerationRequest> {
  if (options.image === undefined) return request;
  const { startFromPicture } = await import("./from_picture.ts");
  return { ...request, ...startFromPicture(components, request.plan, options) };
}
