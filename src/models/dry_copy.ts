/**
 * Models on backends that only count memory.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import type { WeightDType } from "../base/dtypes.ts";
import { hollowArrays } from "../checkpoints/hollow_arrays.ts";
import type { Model, ModelConfig, ModelParts } from "./model.ts";
import { Parameters, ParameterScope } from "./parameters.ts";

/**
 * A copy of a model, with weights that take the memory of the real ones; its checkpoint is not read.
 *
 * @param backend A backend that only counts memory.
 * @param dtype How the weights of linear layers are held. Default: as stored.
 * @throws {RangeError} If the memory of the backend does not suffice.
 */
export async function dryCopy<M extends Model>(
  model: M,
  backend: Backend,
  dtype: WeightDType | undefined,
): Promise<M> {
  const checkpoint = hollowArrays(model.checkpoint);
  const owned = new AsyncDisposableStack();
  const parameters = owned.use(new Parameters());
  const scope = new ParameterScope(parameters);
  const Class = model.constructor as new (parts: ModelParts<ModelConfig>) => M;
  const { config } = model;
  const copy = new Class({ backend, config, checkpoint, scope, weightsFile: "", owned });
  await parameters.load(backend, checkpoint, { dtype });
  return copy;
}
