/**
 * The codebook of the image autoencoder.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Embedding } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

/** Vectors that stand for all others near them; diffusers' `VectorQuantizer`. */
export class VectorQuantizer {
  readonly #embedding: Embedding;

  constructor(scope: ParameterScope, numEmbeddings: number, embeddingDim: number) {
    this.#embedding = new Embedding(scope.at("embedding"), numEmbeddings, embeddingDim);
  }

  /** Latents (batch, height, width, embeddingDim) → indices (batch, height · width) of the nearest codes. */
  nearest(frame: Frame, latents: Tensor): Tensor<"i32"> {
    const [batch, height, width, dim] = latents.shape as [number, number, number, number];
    const rows = frame.reshape(latents, [batch, height * width, dim]);
    return frame.nearestCode(rows, this.#embedding.weight);
  }

  /** Indices (batch, pixels) → codes (batch, pixels, embeddingDim). */
  codes(frame: Frame, indices: Tensor<"i32">): Tensor {
    return this.#embedding.forward(frame, indices);
  }
}
