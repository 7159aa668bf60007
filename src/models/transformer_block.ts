/**
 * A block of the transformer.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { AdaLayerNorm } from "./ada_layer_norm.ts";
import { CrossAttention, SelfAttention } from "./attention.ts";
import { FeedForward } from "./feed_forward.ts";
import { LayerNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import type { Transformer2DConfig } from "./transformer_2d_config.ts";

/** What a {@linkcode TransformerBlock} has to know of the config. */
export type TransformerBlockConfig = Pick<
  Transformer2DConfig,
  | "numAttentionHeads"
  | "attentionHeadDim"
  | "crossAttentionDim"
  | "attentionBias"
  | "activationFn"
  | "numEmbedsAdaNorm"
>;

/** What a block needs besides the hidden state. */
export interface TransformerBlockInputs {
  /** The timestep: one element, or one for each sequence. */
  readonly timestep: Tensor<"i32">;
  /** Result of {@linkcode TransformerBlock.keyValues}. */
  readonly keyValues: Tensor;
}

/**
 * Attention to all pixels, attention to the context and a feed-forward part, each added to the
 * hidden state; diffusers' `BasicTransformerBlock` with adaptive norms.
 */
export class TransformerBlock {
  readonly #norm1: AdaLayerNorm;
  readonly #attn1: SelfAttention;
  readonly #norm2: AdaLayerNorm;
  readonly #attn2: CrossAttention;
  readonly #norm3: LayerNorm;
  readonly #ff: FeedForward;

  constructor(scope: ParameterScope, config: TransformerBlockConfig) {
    const { numAttentionHeads: heads, attentionHeadDim: headDim, attentionBias: bias } = config;
    const { crossAttentionDim, activationFn, numEmbedsAdaNorm } = config;
    const dim = heads * headDim;
    const projections = ["to_q", "to_k", "to_v", "to_out.0"] as const;
    const self = { dim, heads, headDim, bias, projections };
    const cross = { dim, heads, headDim, bias, crossAttentionDim };
    this.#norm1 = new AdaLayerNorm(scope.at("norm1"), dim, numEmbedsAdaNorm);
    this.#attn1 = new SelfAttention(scope.at("attn1"), self);
    this.#norm2 = new AdaLayerNorm(scope.at("norm2"), dim, numEmbedsAdaNorm);
    this.#attn2 = new CrossAttention(scope.at("attn2"), cross);
    this.#norm3 = new LayerNorm(scope.at("norm3"), dim);
    this.#ff = new FeedForward(scope.at("ff"), dim, activationFn);
  }

  /** What the block needs of a context (copies · batch, length, crossAttentionDim). */
  keyValues(frame: Frame, context: Tensor): Tensor {
    return this.#attn2.keyValues(frame, context);
  }

  /**
   * x (batch, pixels, dim), used up → (copies · batch, pixels, dim). If the context has several times
   * as many sequences, the state is copied before it meets the context.
   */
  forward(frame: Frame, x: Tensor, { timestep, keyValues }: TransformerBlockInputs): Tensor {
    {
      using _scope = frame.scope();
      x = this.#attn1.forward(frame, this.#norm1.forward(frame, x, timestep), { addTo: x });
    }
    const copies = keyValues.shape[0]! / x.shape[0]!;
    let state = copies === 1 ? x : frame.repeat(x, copies);
    using _scope = frame.scope();
    const queries = this.#norm2.forward(frame, x, timestep);
    state = this.#attn2.forward(frame, queries, keyValues, { addTo: state });
    return this.#ff.forward(frame, this.#norm3.forward(frame, state), { addTo: state });
  }
}
