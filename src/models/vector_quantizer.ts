/**
 * The codebook of the image autoencoder.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { SCHEDULE_COLUMNS } from "../backends/backend.ts";
import { Embedding, Linear } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import { TokenNumbers } from "./token_numbers.ts";
import type { VQConfig } from "./vq_config.ts";

/** What a {@linkcode VectorQuantizer} has to know of the config. */
export type VectorQuantizerConfig = Pick<
  VQConfig,
  "numVqEmbeddings" | "vqEmbedDim" | "quantizerType" | "tokenOfCode"
>;

/**
 * Vectors that stand for all others. A code is the nearest of them (diffusers' `VectorQuantizer`), or the
 * likeliest by a projection of the latents, to which noise may be added (`GumbelQuantize` of Taming
 * Transformers). Where tokens are numbered anew, several codes may have one token.
 */
export class VectorQuantizer {
  /** The vectors of the tokens. */
  readonly #embedding: Embedding;
  /** The vectors of all codes, for the nearest. */
  readonly #codebook: Embedding | undefined;
  /** Logits of all codes. */
  readonly #proj: Linear | undefined;
  readonly #tokens: TokenNumbers | undefined;

  constructor(scope: ParameterScope, config: VectorQuantizerConfig) {
    const { numVqEmbeddings, vqEmbedDim, quantizerType, tokenOfCode } = config;
    const codes = tokenOfCode?.length ?? numVqEmbeddings;
    this.#embedding = new Embedding(scope.at("embedding"), numVqEmbeddings, vqEmbedDim);
    if (quantizerType === "gumbel") {
      const conv = { pointwise: true, precise: true };
      this.#proj = new Linear(scope.at("proj"), vqEmbedDim, codes, conv);
    } else if (tokenOfCode !== undefined) {
      this.#codebook = new Embedding(scope.at("codebook"), codes, vqEmbedDim);
    }
    if (tokenOfCode !== undefined) this.#tokens = new TokenNumbers(tokenOfCode, numVqEmbeddings);
  }

  /**
   * Latents (batch, height, width, embeddingDim) → tokens (batch, height · width): of the nearest codes, or
   * of the likeliest ones.
   *
   * @param noise Added to the logits of a projection, (batch, codes, height · width).
   */
  encode(frame: Frame, latents: Tensor, noise?: Tensor): Tensor<"i32"> {
    const [batch, height, width, dim] = latents.shape as [number, number, number, number];
    const rows = frame.reshape(latents, [batch, height * width, dim]);
    const codes = this.#proj === undefined
      ? frame.nearestCode(rows, (this.#codebook ?? this.#embedding).weight)
      : likeliest(frame, this.#proj.forward(frame, rows), noise);
    return this.#tokens?.of(frame, codes) ?? codes;
  }

  /** Tokens (batch, pixels) → codes (batch, pixels, embeddingDim). */
  codes(frame: Frame, tokens: Tensor<"i32">): Tensor {
    return this.#embedding.forward(frame, tokens);
  }
}

/** Index of the greatest of each row of logits (batch, pixels, codes) and noise (batch, codes, pixels). */
function likeliest(frame: Frame, logits: Tensor, noise: Tensor | undefined): Tensor<"i32"> {
  const [batch, pixels, codes] = logits.shape as [number, number, number];
  const sums = noise === undefined ? logits : frame.add(logits, frame.transpose(noise));
  // A step to x_0 takes the greatest, here with the same noise for all: −log(−log(1/e)) is 0.
  const same = frame.empty([batch, codes + 1, pixels], "f32");
  same.write(new Float32Array(batch * (codes + 1) * pixels).fill(Math.exp(-1)));
  const schedule = frame.empty([1, SCHEDULE_COLUMNS.length], "f32");
  schedule.write(new Float32Array(SCHEDULE_COLUMNS.length));
  const row = frame.empty([1], "i32");
  row.write(Int32Array.of(0));
  const latents = frame.empty([batch, pixels], "i32");
  latents.write(new Int32Array(batch * pixels));
  frame.sampleStep(sums, { latents, noise: same, schedule, row });
  return latents;
}
