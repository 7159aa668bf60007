/**
 * Attention over rows, as the text encoder and the transformer use it.
 *
 * @module
 */

import type { Frame, LinearWeight, Tensor } from "../backends/backend.ts";
import type { ModelWeights, Parameter } from "./model_weights.ts";

/** Heads of an attention. */
export interface Heads {
  /** Number of heads. */
  readonly heads: number;
  /** Columns of one head. */
  readonly headDim: number;
}

/** Names and sizes of a {@linkcode SelfAttention}. */
export interface SelfAttentionOptions extends Heads {
  /** Names of the projections to queries, keys and values, and of that of the result. */
  readonly projections: readonly [q: string, k: string, v: string, out: string];
  /** Columns of the argument and of the result. */
  readonly columns: number;
  /** Whether queries, keys and values have a bias; the result always has. Default true. */
  readonly bias?: boolean;
  /** Whether a row sees only the rows before it. Default false. */
  readonly causal?: boolean;
}

/** Attention of the rows of a sequence to each other. */
export class SelfAttention {
  readonly #qkv: Parameter<LinearWeight>;
  readonly #out: Parameter<LinearWeight>;
  readonly #options: SelfAttentionOptions;

  /** Declares the weights. */
  constructor(weights: ModelWeights, options: SelfAttentionOptions) {
    const { projections: [q, k, v, out], columns, heads, headDim, bias = true } = options;
    this.#qkv = weights.linear([q, k, v], heads * headDim, columns, { bias });
    this.#out = weights.linear([out], columns, heads * headDim);
    this.#options = options;
  }

  /** Adds the attention of x (batch, length, columns) to `addTo`, of the same size. */
  record(frame: Frame, x: Tensor, addTo: Tensor): void {
    using _scope = frame.scope();
    const { heads, headDim, causal = false } = this.#options;
    const tensor = frame.linear(x, this.#qkv.value);
    const width = heads * headDim;
    const attended = frame.attention(
      { tensor, offset: 0 },
      { tensor, offset: width },
      { tensor, offset: 2 * width },
      { batch: x.shape[0]!, heads, headDim, scale: headDim ** -0.5, causal },
    );
    frame.linear(attended, this.#out.value, { addTo });
  }
}

/** Sizes of a {@linkcode CrossAttention}. */
export interface CrossAttentionOptions extends Heads {
  /** Columns of the argument and of the result. */
  readonly columns: number;
  /** Columns of the context. */
  readonly contextColumns: number;
  /** Whether queries, keys and values have a bias; the result always has. */
  readonly bias: boolean;
}

/** Attention of the rows of a sequence to those of a context; diffusers' `CrossAttention`. */
export class CrossAttention {
  readonly #q: Parameter<LinearWeight>;
  readonly #kv: Parameter<LinearWeight>;
  readonly #out: Parameter<LinearWeight>;
  readonly #options: CrossAttentionOptions;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, options: CrossAttentionOptions) {
    const { columns, contextColumns, heads, headDim, bias } = options;
    const width = heads * headDim;
    this.#q = weights.linear([`${name}.to_q`], width, columns, { bias });
    this.#kv = weights.linear([`${name}.to_k`, `${name}.to_v`], width, contextColumns, { bias });
    this.#out = weights.linear([`${name}.to_out.0`], columns, width);
    this.#options = options;
  }

  /** Keys and values, side by side, of a context (batch, length, contextColumns). */
  recordContext(frame: Frame, context: Tensor): Tensor {
    return frame.linear(context, this.#kv.value);
  }

  /**
   * Adds the attention of x to a context to `addTo`.
   *
   * @param x (batch, length, columns); every one of its sequences stands for `copies` of them, which
   *   follow each other as a whole.
   * @param keyValues Result of {@linkcode CrossAttention.recordContext}, of copies · batch sequences.
   * @param addTo (copies · batch, length, columns).
   */
  record(frame: Frame, x: Tensor, keyValues: Tensor, addTo: Tensor): void {
    using _scope = frame.scope();
    const { heads, headDim } = this.#options;
    const batch = keyValues.shape[0]!;
    const copies = batch / x.shape[0]!;
    const projected = frame.linear(x, this.#q.value);
    const q = copies === 1 ? projected : frame.repeat(projected, copies);
    const attended = frame.attention(
      { tensor: q, offset: 0 },
      { tensor: keyValues, offset: 0 },
      { tensor: keyValues, offset: heads * headDim },
      { batch, heads, headDim, scale: headDim ** -0.5 },
    );
    frame.linear(attended, this.#out.value, { addTo });
  }
}
