/**
 * A first image on paper, which tells what memory a pipeline takes.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import type { WeightDType } from "../base/dtypes.ts";
import { COMPONENTS } from "../checkpoints/component_classes.ts";
import type { Model } from "../models/model.ts";
import { anyInput } from "../conditioning/condition.ts";
import { componentNamesOf, type LoadedComponents } from "./components.ts";
import { generateTokens } from "./generation.ts";
import { generationRequest } from "./generation_request.ts";
import { initialTokens } from "./initial_tokens.ts";
import { makeOutput } from "./outputs.ts";

/**
 * Loads copies of components and makes an image, as `generate` does with its default options but in one
 * step, for the number of steps changes nothing.
 *
 * @param backend A backend that only counts memory. It holds the copies until it is disposed of.
 * @param dtype How the weights of linear layers are held. Default: as stored.
 * @throws {RangeError} If the memory of the backend does not suffice.
 */
export async function makeFirstImage(
  components: LoadedComponents,
  backend: Backend,
  dtype: WeightDType | undefined,
): Promise<void> {
  const copies: LoadedComponents = { ...components };
  const { config } = components.transformer;
  for (const name of componentNamesOf(config).filter((name) => COMPONENTS[name].hasWeights)) {
    const model = components[name] as Model;
    Object.assign(copies, { [name]: await model.dryCopy(backend, dtype) });
  }
  const session = { use: <T>(task: (parts: LoadedComponents) => Promise<T>) => task(copies) };
  const request = generationRequest(copies, anyInput(config), { numInferenceSteps: 1, seed: 0 });
  const initial = await initialTokens(session, request);
  let { tokens } = initial;
  for await (const state of generateTokens(session, request, initial)) {
    tokens = await state.tokens();
  }
  await makeOutput(copies.vqvae, tokens, request.pixels, "array");
}
