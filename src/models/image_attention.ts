/**
 * Attention between the pixels of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { SelfAttention } from "./attention.ts";
import { GroupNorm, type WeightScope } from "./layers.ts";

/** Attention with one head after a group norm, added to x; diffusers' `AttentionBlock`. */
export class ImageAttention {
  readonly #norm: GroupNorm;
  readonly #attention: SelfAttention;

  constructor(weights: WeightScope, channels: number, groups: number) {
    this.#norm = new GroupNorm(weights.at("group_norm"), channels, groups);
    this.#attention = new SelfAttention(weights, {
      projections: ["query", "key", "value", "proj_attn"],
      columns: channels,
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
