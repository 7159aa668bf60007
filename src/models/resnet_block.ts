/**
 * Residual block of convolutions.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm, type WeightScope } from "./layers.ts";

/** Sizes of a {@linkcode ResnetBlock}. */
export interface ResnetBlockOptions {
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Channels of the result. */
  readonly outChannels: number;
  /** Groups of the norms. */
  readonly groups: number;
}

/** Two convolutions, each after norm and SiLU, added to x; diffusers' `ResnetBlock2D` without time. */
export class ResnetBlock {
  readonly #norm1: GroupNorm;
  readonly #conv1: Conv2d;
  readonly #norm2: GroupNorm;
  readonly #conv2: Conv2d;
  readonly #convShortcut: Conv2d | undefined;

  constructor(weights: WeightScope, { inChannels, outChannels, groups }: ResnetBlockOptions) {
    this.#norm1 = new GroupNorm(weights.at("norm1"), inChannels, groups, { silu: true });
    this.#conv1 = new Conv2d(weights.at("conv1"), outChannels, inChannels, 3);
    this.#norm2 = new GroupNorm(weights.at("norm2"), outChannels, groups, { silu: true });
    this.#conv2 = new Conv2d(weights.at("conv2"), outChannels, outChannels, 3);
    if (inChannels !== outChannels) {
      this.#convShortcut = new Conv2d(weights.at("conv_shortcut"), outChannels, inChannels, 1);
    }
  }

  /** x (batch, height, width, inChannels), used up → (batch, height, width, outChannels). */
  forward(frame: Frame, x: Tensor): Tensor {
    const residual = this.#convShortcut?.forward(frame, x) ?? x;
    using _scope = frame.scope();
    const h = this.#conv1.forward(frame, this.#norm1.forward(frame, x));
    return this.#conv2.forward(frame, this.#norm2.forward(frame, h), { addTo: residual });
  }
}
