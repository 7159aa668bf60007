/**
 * Attention between the pixels of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { SelfAttention } from "./attention.ts";
import { GroupNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

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
