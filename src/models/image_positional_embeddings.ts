/**
 * Embeddings of the tokens of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Embedding } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

/** Sizes of {@linkcode ImagePositionalEmbeddings}. */
export interface ImagePositionalEmbeddingsOptions {
  /** Number of classes, the mask included. */
  readonly numEmbed: number;
  /** Rows of tokens. */
  readonly height: number;
  /** Tokens of a row. */
  readonly width: number;
  /** Size of an embedding. */
  readonly embedDim: number;
}

/** The sum of a token's embedding and those of its row and column; diffusers' class of the same name. */
export class ImagePositionalEmbeddings {
  readonly #emb: Embedding;
  readonly #heightEmb: Embedding;
  readonly #widthEmb: Embedding;
  readonly #size: ImagePositionalEmbeddingsOptions;

  constructor(scope: ParameterScope, options: ImagePositionalEmbeddingsOptions) {
    const { numEmbed, height, width, embedDim } = options;
    this.#emb = new Embedding(scope.at("emb"), numEmbed, embedDim);
    this.#heightEmb = new Embedding(scope.at("height_emb"), height, embedDim);
    this.#widthEmb = new Embedding(scope.at("width_emb"), width, embedDim);
    this.#size = options;
  }

  /** What all images share: (height · width, embedDim), the sums of the rows' and columns' embeddings. */
  positions(frame: Frame): Tensor {
    const { height, width } = this.#size;
    const rows = frame.empty([height * width], "i32");
    rows.write(Int32Array.from({ length: height * width }, (_, i) => Math.floor(i / width)));
    return this.#heightEmb.forward(frame, rows, this.#widthEmb.weight);
  }

  /** Tokens (batch, height · width), and what `positions` gives → (batch, height · width, embedDim). */
  forward(frame: Frame, tokens: Tensor<"i32">, positions: Tensor): Tensor {
    return this.#emb.forward(frame, tokens, positions);
  }
}
