/**
 * A block of the transformer.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { AdaLayerNorm } from "./ada_layer_norm.ts";
import { CrossAttention, type Heads, SelfAttention } from "./attention.ts";
import { FeedForward, type FeedForwardActivation } from "./feed_forward.ts";
import { LayerNorm, type WeightScope } from "./layers.ts";

/** Sizes of a {@linkcode TransformerBlock}. */
export interface TransformerBlockOptions extends Heads {
  /** Columns of the hidden state. */
  readonly columns: number;
  /** Columns of the context. */
  readonly contextColumns: number;
  /** Whether queries, keys and values have a bias. */
  readonly attentionBias: boolean;
  /** Activation of the feed-forward part. */
  readonly activation: FeedForwardActivation;
  /** Number of timesteps. */
  readonly timesteps: number;
}

/** What a block needs besides the hidden state. */
export interface TransformerBlockInputs {
  /** One element: the timestep. */
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

  constructor(weights: WeightScope, options: TransformerBlockOptions) {
    const { columns, heads, headDim, attentionBias: bias } = options;
    const projections = ["to_q", "to_k", "to_v", "to_out.0"] as const;
    this.#norm1 = new AdaLayerNorm(weights.at("norm1"), options);
    this.#attn1 = new SelfAttention(weights.at("attn1"), {
      projections,
      columns,
      heads,
      headDim,
      bias,
    });
    this.#norm2 = new AdaLayerNorm(weights.at("norm2"), options);
    this.#attn2 = new CrossAttention(weights.at("attn2"), { ...options, bias });
    this.#norm3 = new LayerNorm(weights.at("norm3"), columns);
    this.#ff = new FeedForward(weights.at("ff"), columns, options.activation);
  }

  /** What the block needs of a context (copies · batch, length, contextColumns). */
  keyValues(frame: Frame, context: Tensor): Tensor {
    return this.#attn2.keyValues(frame, context);
  }

  /**
   * x (batch, pixels, columns), used up → (copies · batch, pixels, columns). If the context has several
   * times as many sequences, the state is copied before it meets the context.
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
