/**
 * A block of the transformer.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { AdaLayerNorm } from "./ada_layer_norm.ts";
import { CrossAttention, SelfAttention } from "./attention.ts";
import { ConvFeedForward, FeedForward } from "./feed_forward.ts";
import { LayerNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import type { Transformer2DConfig } from "./transformer_2d_config.ts";

/** What a {@linkcode TransformerBlock} has to know of the config. */
export type TransformerBlockConfig = Pick<
  Transformer2DConfig,
  | "conditionType"
  | "numAttentionHeads"
  | "attentionHeadDim"
  | "crossAttentionDim"
  | "numClassEmbeds"
  | "attentionBias"
  | "activationFn"
  | "feedForwardType"
  | "numEmbedsAdaNorm"
>;

/** What a block needs besides the hidden state. */
export interface TransformerBlockInputs {
  /** The timestep: one element, or one for each sequence. */
  readonly timestep: Tensor<"i32">;
  /** Result of {@linkcode TransformerBlock.keyValues}, if the block attends to texts. */
  readonly keyValues?: Tensor | undefined;
  /** Labels (copies · batch), if it knows classes. */
  readonly classLabels?: Tensor<"i32"> | undefined;
}

/**
 * Attention to all pixels, attention to the context if there is one, and a feed-forward part, each added
 * to the hidden state; diffusers' `BasicTransformerBlock` with adaptive norms. Without a context it is the
 * `selfcondition` or `self` block of Microsoft's code, the first of which norms by the class, too.
 */
export class TransformerBlock {
  readonly #norm1: AdaLayerNorm;
  readonly #attn1: SelfAttention;
  readonly #cross: { readonly norm2: AdaLayerNorm; readonly attn2: CrossAttention } | undefined;
  readonly #norm3: LayerNorm | AdaLayerNorm;
  readonly #ff: FeedForward | ConvFeedForward;

  constructor(scope: ParameterScope, config: TransformerBlockConfig) {
    const { numAttentionHeads: heads, attentionHeadDim: headDim, attentionBias: bias } = config;
    const { conditionType, crossAttentionDim, numEmbedsAdaNorm } = config;
    const dim = heads * headDim;
    const projections = ["to_q", "to_k", "to_v", "to_out.0"] as const;
    const self = { dim, heads, headDim, bias, projections };
    this.#norm1 = new AdaLayerNorm(scope.at("norm1"), dim, numEmbedsAdaNorm);
    this.#attn1 = new SelfAttention(scope.at("attn1"), self);
    if (conditionType === "text") {
      const cross = { dim, heads, headDim, bias, crossAttentionDim };
      this.#cross = {
        norm2: new AdaLayerNorm(scope.at("norm2"), dim, numEmbedsAdaNorm),
        attn2: new CrossAttention(scope.at("attn2"), cross),
      };
    }
    this.#norm3 = conditionType === "class"
      ? new AdaLayerNorm(scope.at("norm3"), dim, config.numClassEmbeds)
      : new LayerNorm(scope.at("norm3"), dim);
    this.#ff = config.feedForwardType === "conv"
      ? new ConvFeedForward(scope.at("ff"), dim)
      : new FeedForward(scope.at("ff"), dim, config.activationFn);
  }

  /** What the block needs of a context (copies · batch, length, crossAttentionDim), if it takes one. */
  keyValues(frame: Frame, context: Tensor): Tensor | undefined {
    return this.#cross?.attn2.keyValues(frame, context);
  }

  /**
   * x (batch, pixels, dim), or (batch, height, width, dim) for convolutions, used up → the same of copies ·
   * batch sequences. If what is drawn from has several times as many, the state is copied before it meets
   * that.
   */
  forward(frame: Frame, x: Tensor, inputs: TransformerBlockInputs): Tensor {
    const { timestep, keyValues, classLabels } = inputs;
    {
      using _scope = frame.scope();
      x = this.#attn1.forward(frame, this.#norm1.forward(frame, x, timestep), { addTo: x });
    }
    const sequences = (keyValues ?? classLabels)?.shape[0] ?? x.shape[0]!;
    const copies = sequences / x.shape[0]!;
    let state = copies === 1 ? x : frame.repeat(x, copies);
    using _scope = frame.scope();
    if (this.#cross !== undefined) {
      const { norm2, attn2 } = this.#cross;
      const queries = norm2.forward(frame, x, timestep);
      state = attn2.forward(frame, queries, keyValues!, { addTo: state });
    }
    const normed = this.#norm3 instanceof LayerNorm
      ? this.#norm3.forward(frame, state)
      : this.#norm3.forward(frame, state, classLabels!);
    return this.#ff.forward(frame, normed, { addTo: state });
  }
}
