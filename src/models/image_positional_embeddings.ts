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
  /** Number of tokens of an image. */
  readonly pixels: number;
  /** Rows and columns of the grid whose places the tokens take, row by row. */
  readonly grid: readonly [rows: number, columns: number];
  /** Size of an embedding. */
  readonly embedDim: number;
}

/**
 * The sum of a token's embedding and those of its row and column in a grid; diffusers' class of the same
 * name, whose grid is the image. Microsoft's may be larger and is filled row by row all the same.
 */
export class ImagePositionalEmbeddings {
  readonly #emb: Embedding;
  readonly #heightEmb: Embedding;
  readonly #widthEmb: Embedding;
  readonly #size: ImagePositionalEmbeddingsOptions;

  constructor(scope: ParameterScope, options: ImagePositionalEmbeddingsOptions) {
    const { numEmbed, grid: [rows, columns], embedDim } = options;
    this.#emb = new Embedding(scope.at("emb"), numEmbed, embedDim);
    this.#heightEmb = new Embedding(scope.at("height_emb"), rows, embedDim);
    this.#widthEmb = new Embedding(scope.at("width_emb"), columns, embedDim);
    this.#size = options;
  }

  /** What all images share: (pixels, embedDim), the sums of the rows' and columns' embeddings. */
  positions(frame: Frame): Tensor {
    const { pixels, grid: [, columns] } = this.#size;
    const rows = frame.empty([pixels], "i32");
    rows.write(Int32Array.from({ length: pixels }, (_, i) => Math.floor(i / columns)));
    return this.#heightEmb.forward(frame, rows, this.#widthEmb.weight);
  }

  /** Tokens (batch, pixels), and what `positions` gives → (batch, pixels, embedDim). */
  forward(frame: Frame, tokens: Tensor<"i32">, positions: Tensor): Tensor {
    return this.#emb.forward(frame, tokens, positions);
  }
}
