/**
 * What a generation takes, before it begins.
 *
 * @module
 */

import type { GenerateInput } from "../conditioning/condition.ts";
import type { PipelineParts } from "./components.ts";
import { entryOf } from "./from_picture.ts";
import type { StreamOptions } from "./generate_options.ts";
import { generationRequest, isGuided } from "./generation_request.ts";

/** What a generation takes. */
export interface GenerationWork {
  /** Steps that are taken: with a picture to start from those that its strength leaves. */
  readonly steps: number;
  /** Calls of the network, those for each image counted singly: two in a step with guidance. */
  readonly calls: number;
}

/**
 * Tells what a generation takes.
 *
 * @param input As the pipeline takes it.
 * @throws {TypeError} If the pipeline would refuse an argument for its type.
 * @throws {RangeError} If it would refuse one for its value.
 */
export function generationWork(
  components: PipelineParts,
  input: GenerateInput,
  options: StreamOptions,
): GenerationWork {
  const request = generationRequest(components, input, options);
  const { batch, scheduler: { config: { numTrainTimesteps } } } = request;
  const { steps } = options.image === undefined
    ? request.plan
    : entryOf(request.plan, numTrainTimesteps, options).plan;
  const calls = steps.reduce((sum, step) => sum + (isGuided(request, step) ? 2 : 1), 0);
  return { steps: steps.length, calls: calls * batch };
}
