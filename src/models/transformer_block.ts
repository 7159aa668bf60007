/**
 * One block of the transformer.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { AdaLayerNorm } from "./ada_layer_norm.ts";
import { CrossAttention, type Heads, SelfAttention } from "./attention.ts";
import { FeedForward, type FeedForwardActivation } from "./feed_forward.ts";
import type { ModelWeights, NormParameters } from "./model_weights.ts";

/** Epsilon of the layer norms, fixed in diffusers. */
export const LAYER_NORM_EPS = 1e-5;

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
  /** Result of {@linkcode TransformerBlock.recordContext}. */
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
  readonly #norm3: NormParameters;
  readonly #ff: FeedForward;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, options: TransformerBlockOptions) {
    const { columns, contextColumns, heads, headDim, attentionBias: bias, timesteps } = options;
    const attn1 = `${name}.attn1`;
    this.#norm1 = new AdaLayerNorm(weights, `${name}.norm1`, { columns, timesteps });
    this.#attn1 = new SelfAttention(weights, {
      projections: [`${attn1}.to_q`, `${attn1}.to_k`, `${attn1}.to_v`, `${attn1}.to_out.0`],
      columns,
      heads,
      headDim,
      bias,
    });
    this.#norm2 = new AdaLayerNorm(weights, `${name}.norm2`, { columns, timesteps });
    this.#attn2 = new CrossAttention(weights, `${name}.attn2`, {
      columns,
      contextColumns,
      heads,
      headDim,
      bias,
    });
    this.#norm3 = weights.norm(`${name}.norm3`, columns);
    this.#ff = new FeedForward(weights, `${name}.ff`, columns, options.activation);
  }

  /** What the block needs of a context (copies · batch, length, contextColumns). */
  recordContext(frame: Frame, context: Tensor): Tensor {
    return this.#attn2.recordContext(frame, context);
  }

  /**
   * Changes the hidden state x (batch, pixels, columns) in place. If the context has several times
   * as many sequences, the state is copied before it meets the context, and that copy is changed.
   *
   * @returns The hidden state (copies · batch, pixels, columns).
   */
  record(frame: Frame, x: Tensor, { timestep, keyValues }: TransformerBlockInputs): Tensor {
    {
      using _scope = frame.scope();
      this.#attn1.record(frame, this.#norm1.record(frame, x, timestep), x);
    }
    const copies = keyValues.shape[0]! / x.shape[0]!;
    const state = copies === 1 ? x : frame.repeat(x, copies);
    {
      using _scope = frame.scope();
      this.#attn2.record(frame, this.#norm2.record(frame, x, timestep), keyValues, state);
    }
    {
      using _scope = frame.scope();
      const normed = frame.layerNorm(state, {
        weight: this.#norm3.weight,
        bias: this.#norm3.bias,
        eps: LAYER_NORM_EPS,
      });
      this.#ff.record(frame, normed, state);
    }
    return state;
  }
}
