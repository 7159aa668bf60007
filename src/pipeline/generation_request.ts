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
import type { SamplingStep } from "../schedulers/sampling_plan.ts";
import { namedScheduler } from "../schedulers/samplers.ts";
import type { PipelineParts } from "./components.ts";
import {
  checkGenerateOptions,
  type GenerateRequest,
  type StreamOptions,
} from "./generate_options.ts";
import { limitsOf } from "./generation_parameters.ts";
import { type GuidanceInterval, isInside } from "./guidance_interval.ts";
import type { InitialTokensRequest } from "./starting_point.ts";

/** What a generation starts from. */
export interface GenerationRequest extends InitialTokensRequest {
  /** What the images show. */
  readonly condition: ConditionRequest;
  /** Scale of the guidance; undefined for none. */
  readonly guidanceScale: number | undefined;
  /** Where there is guidance; undefined for all steps. */
  readonly guidanceInterval: GuidanceInterval | undefined;
  /** Sum of probabilities up to which classes are kept. */
  readonly truncationRate: number;
  /** Most classes that are kept; undefined for all. */
  readonly topK: number | undefined;
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
  const { config } = components.transformer;
  const pixels = config.sampleSize ** 2;
  const { numVecClasses, numTrainTimesteps } = components.scheduler.config;
  const limits = { ...limitsOf({ components }), ...config, numVecClasses, pixels };
  const request = checkGenerateOptions(prompt, options, limits);
  const { batch, numInferenceSteps, truncationRate, topK, generator, signal } = request;
  const { sampler, latents } = request;
  // A copy, which stays as it is.
  const guidanceInterval = request.guidanceInterval &&
    [request.guidanceInterval[0], request.guidanceInterval[1]] as const;
  const scheduler = sampler === undefined
    ? components.scheduler
    : namedScheduler(sampler, components.scheduler.config);
  const plan = scheduler.plan(numInferenceSteps, { pixels });
  // From here on there is no guidance where there is no scale.
  const guided = scheduler.guides(request.guidanceScale) &&
    plan.steps.some(({ timestep }) => isInside(guidanceInterval, timestep, numTrainTimesteps));
  const guidanceScale = guided ? request.guidanceScale : undefined;
  const condition = conditionOf(request, config, guided);
  checkCondition(components, condition);
  signal?.throwIfAborted();
  return {
    condition,
    latents,
    picture: undefined,
    batch,
    pixels,
    scheduler,
    plan,
    guidanceScale,
    guidanceInterval,
    truncationRate,
    topK,
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

/** Whether a step of a request is guided: it takes two calls of the network for each image. */
export function isGuided(
  { guidanceScale, guidanceInterval, scheduler }: GenerationRequest,
  { timestep }: SamplingStep,
): boolean {
  if (guidanceScale === undefined) return false;
  return isInside(guidanceInterval, timestep, scheduler.config.numTrainTimesteps);
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
  return { ...request, ...await startFromPicture(components, request.plan, options) };
}
