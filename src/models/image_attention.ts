/**
 * Attention between the pixels of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { SelfAttention } from "./attention.ts";
import { GroupNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

/** Names of the projections in diffusers since 0.17, and the older ones, which all versions read. */
const PROJECTIONS: Readonly<Record<string, string>> = {
  "to_q": "query",
  "to_k": "key",
  "to_v": "value",
  "to_out.0": "proj_attn",
};

/** The name of an array as {@linkcode ImageAttention} declares it, of that in newer checkpoints. */
export function declaredAttentionName(name: string): string {
  return name.replace(
    /(\.attentions\.\d+\.)(to_[qkv]|to_out\.0)(?=\.)/,
    (_, scope: string, projection: string) => scope + PROJECTIONS[projection],
  );
}

/** Attention with one head after a group norm, added to x; diffusers' `AttentionBlock`. */
export class ImageAttention {
  readonly #norm: GroupNorm;
  readonly #attention: SelfAttention;

  constructor(scope: ParameterScope, channels: number, groups: number) {
    this.#norm = new GroupNorm(scope.at("group_norm"), groups, channels);
    this.#attention = new SelfAttention(scope, {
      projections: ["query", "key", "value", "proj_attn"],
      dim: channels,
      heads: 1,
      headDim: channels,
    });
  }

  /** x (batch, height, width, channels), used up → the same shape. */
  forward(frame: Frame, x: Tensor): Tensor {
    using _scope = frame.scope();
    return this.#attention.forward(frame, this.#norm.forward(frame, x), { addTo: x });
  }
}
