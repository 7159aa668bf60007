/**
 * Prompts to the embeddings that the transformer attends to.
 *
 * @module
 */

import type { Tensor } from "../backends/backend.ts";

/** Embeddings of prompts, (prompts, length, columns), made before: they are taken as they are. */
export type PromptEmbeds = Tensor | {
  /** The values, row by row. */
  readonly data: Float32Array;
  /** The shape of `data`. */
  readonly shape: readonly [number, number, number];
};
