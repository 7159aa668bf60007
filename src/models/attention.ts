/**
 * Attention over rows, as the text encoder and the transformer use it.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Linear, type Residual } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

/** Heads of an attention. */
export interface Heads {
  /** Number of heads. */
  readonly heads: number;
  /** Size of one head. */
  readonly headDim: number;
}

/** Names and sizes of a {@linkcode SelfAttention}. */
export interface SelfAttentionOptions extends Heads {
  /** Names of the projections to queries, keys and values, and of that of the result. */
  readonly projections: readonly [q: string, k: string, v: string, out: string];
  /** Size of a row of the argument and of the result. */
  readonly dim: number;
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

  constructor(scope: ParameterScope, options: SelfAttentionOptions) {
    const { projections: [q, k, v, out], dim, heads, headDim, bias = true } = options;
    const innerDim = heads * headDim;
    this.#toQkv = new Linear([scope.at(q), scope.at(k), scope.at(v)], dim, innerDim, { bias });
    this.#toOut = new Linear(scope.at(out), innerDim, dim);
    this.#options = options;
  }

  /** x (batch, length, dim) → `addTo` (used up) plus the attention of x to itself. */
  forward(frame: Frame, x: Tensor, { addTo }: Residual): Tensor {
    using _scope = frame.scope();
    const { heads, headDim, causal = false } = this.#options;
    const innerDim = heads * headDim;
    const tensor = this.#toQkv.forward(frame, x);
    const attended = frame.attention(
      { tensor, offset: 0 },
      { tensor, offset: innerDim },
      { tensor, offset: 2 * innerDim },
      { batch: x.shape[0]!, heads, headDim, scale: headDim ** -0.5, causal },
    );
    return this.#toOut.forward(frame, attended, { addTo });
  }
}

/** Sizes of a {@linkcode CrossAttention}. */
export interface CrossAttentionOptions extends Heads {
  /** Size of a row of the argument and of the result. */
  readonly dim: number;
  /** Size of a row of the context. */
  readonly crossAttentionDim: number;
  /** Whether queries, keys and values have a bias; the result always has. */
  readonly bias: boolean;
}

/** Attention of the rows of a sequence to those of a context; diffusers' `CrossAttention`. */
export class CrossAttention {
  readonly #toQ: Linear;
  readonly #toKv: Linear;
  readonly #toOut: Linear;
  readonly #options: CrossAttentionOptions;

  constructor(scope: ParameterScope, options: CrossAttentionOptions) {
    const { dim, crossAttentionDim, heads, headDim, bias } = options;
    const innerDim = heads * headDim;
    this.#toQ = new Linear(scope.at("to_q"), dim, innerDim, { bias });
    this.#toKv = new Linear([scope.at("to_k"), scope.at("to_v")], crossAttentionDim, innerDim, {
      bias,
    });
    this.#toOut = new Linear(scope.at("to_out.0"), innerDim, dim);
    this.#options = options;
  }

  /** Keys and values, side by side, of a context (batch, length, crossAttentionDim). */
  keyValues(frame: Frame, context: Tensor): Tensor {
    return this.#toKv.forward(frame, context);
  }

  /**
   * `addTo` (used up) plus the attention of x to a context.
   *
   * @param x (batch, length, dim); every one of its sequences stands for `copies` of them, which
   *   follow each other as a whole.
   * @param keyValues Result of {@linkcode CrossAttention.keyValues}, of copies · batch sequences.
   * @returns (copies · batch, length, dim).
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
