/**
 * Attention over rows, as the text encoder and the transformer use it.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Linear, type WeightScope } from "./layers.ts";

/** Heads of an attention. */
export interface Heads {
  /** Number of heads. */
  readonly heads: number;
  /** Columns of one head. */
  readonly headDim: number;
}

/** What a part of a residual network is added to. */
export interface Residual {
  /** Tensor of the result's size, which becomes the result. */
  readonly addTo: Tensor;
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
  readonly #toQkv: Linear;
  readonly #toOut: Linear;
  readonly #options: SelfAttentionOptions;

  constructor(weights: WeightScope, options: SelfAttentionOptions) {
    const { projections: [q, k, v, out], columns, heads, headDim, bias = true } = options;
    const width = heads * headDim;
    const qkv = [weights.at(q), weights.at(k), weights.at(v)];
    this.#toQkv = new Linear(qkv, width, columns, { bias });
    this.#toOut = new Linear(weights.at(out), columns, width);
    this.#options = options;
  }

  /** x (batch, length, columns) → `addTo` plus the attention of x to itself. */
  forward(frame: Frame, x: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const { heads, headDim, causal = false } = this.#options;
    const tensor = this.#toQkv.forward(frame, x);
    const width = heads * headDim;
    const attended = frame.attention(
      { tensor, offset: 0 },
      { tensor, offset: width },
      { tensor, offset: 2 * width },
      { batch: x.shape[0]!, heads, headDim, scale: headDim ** -0.5, causal },
    );
    return this.#toOut.forward(frame, attended, { addTo });
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
  readonly #toQ: Linear;
  readonly #toKv: Linear;
  readonly #toOut: Linear;
  readonly #options: CrossAttentionOptions;

  constructor(weights: WeightScope, options: CrossAttentionOptions) {
    const { columns, contextColumns, heads, headDim, bias } = options;
    const width = heads * headDim;
    this.#toQ = new Linear(weights.at("to_q"), width, columns, { bias });
    const kv = [weights.at("to_k"), weights.at("to_v")];
    this.#toKv = new Linear(kv, width, contextColumns, { bias });
    this.#toOut = new Linear(weights.at("to_out.0"), columns, width);
    this.#options = options;
  }

  /** Keys and values, side by side, of a context (batch, length, contextColumns). */
  keyValues(frame: Frame, context: Tensor): Tensor {
    return this.#toKv.forward(frame, context);
  }

  /**
   * `addTo` plus the attention of x to a context.
   *
   * @param x (batch, length, columns); every one of its sequences stands for `copies` of them, which
   *   follow each other as a whole.
   * @param keyValues Result of {@linkcode CrossAttention.keyValues}, of copies · batch sequences.
   * @returns (copies · batch, length, columns).
   */
  forward(frame: Frame, x: Tensor, keyValues: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const { heads, headDim } = this.#options;
    const batch = keyValues.shape[0]!;
    const copies = batch / x.shape[0]!;
    const projected = this.#toQ.forward(frame, x);
    const q = copies === 1 ? projected : frame.repeat(projected, copies);
    const attended = frame.attention(
      { tensor: q, offset: 0 },
      { tensor: keyValues, offset: 0 },
      { tensor: keyValues, offset: heads * headDim },
      { batch, heads, headDim, scale: headDim ** -0.5 },
    );
    return this.#toOut.forward(frame, attended, { addTo });
  }
}
