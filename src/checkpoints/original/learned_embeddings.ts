/**
 * The embeddings that stand for no prompt, which are part of the transformer in an original checkpoint.
 *
 * @module
 */

import type { StoredArray } from "../arrays.ts";
import type { ConvertedArray, StateDict } from "./state_dict.ts";

/** Name of the embeddings in Microsoft's model. */
const NAME = "transformer.empty_text_embed";

/** Whether a checkpoint has such embeddings: those of the first paper do not. */
export function hasLearnedEmbeddings(weights: StateDict): boolean {
  return weights.has(NAME);
}

/**
 * The arrays by the names of diffusers.
 *
 * @throws {TypeError} If they are said to be learned, and are not there.
 */
export function learnedEmbeddings(weights: StateDict, learnable: boolean): ConvertedArray[] {
  if (!learnable) return [NONE];
  const array = weights.array(NAME, "embeddings");
  if (array.dtype !== "F64") return [array];
  // Microsoft's code holds them in float64, diffusers in float32.
  return [{ ...array, dtype: "F32", load: async () => narrowed(await array.load()) }];
}

/**
 * The config in the form of diffusers.
 *
 * @throws {TypeError} If they are said to be learned, and are not there.
 */
export function learnedEmbeddingsConfig(
  weights: StateDict,
  learnable: boolean,
): Record<string, unknown> {
  const [length, columns] = learnable ? weights.shape(NAME, 2) : [null, null];
  return {
    _class_name: "LearnedClassifierFreeSamplingEmbeddings",
    _diffusers_version: "0.9.0",
    hidden_size: columns,
    learnable,
    length,
  };
}

/** An array of no elements stands for embeddings that were not learned, as diffusers saves them. */
const NONE: ConvertedArray = {
  name: "embeddings",
  dtype: "F32",
  shape: [0],
  load: () => Promise.resolve({ dtype: "F32", shape: [0], bytes: new Uint8Array() }),
};

function narrowed({ shape, bytes }: StoredArray): StoredArray {
  const values = new Float64Array(bytes.slice().buffer);
  return { dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
