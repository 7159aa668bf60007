/**
 * Attention between the pixels of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { SelfAttention } from "./attention.ts";
import type { ModelWeights, NormParameters } from "./model_weights.ts";
import { GROUP_NORM_EPS } from "./resnet_block.ts";

/** Attention with one head after a group norm, added to x; diffusers' `AttentionBlock`. */
export class ImageAttention {
  readonly #norm: NormParameters;
  readonly #attention: SelfAttention;
  readonly #groups: number;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, channels: number, groups: number) {
    this.#norm = weights.norm(`${name}.group_norm`, channels);
    this.#attention = new SelfAttention(weights, {
      projections: [`${name}.query`, `${name}.key`, `${name}.value`, `${name}.proj_attn`],
      columns: channels,
      heads: 1,
      headDim: channels,
    });
    this.#groups = groups;
  }

  /** Changes x (batch, height, width, channels) in place. */
  record(frame: Frame, x: Tensor): void {
    using _scope = frame.scope();
    const { weight, bias } = this.#norm;
    const groups = this.#groups;
    const normed = frame.groupNorm(x, { weight, bias, groups, eps: GROUP_NORM_EPS });
    this.#attention.record(frame, normed, x);
  }
}
