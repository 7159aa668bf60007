/**
 * Residual block of convolutions.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";

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

  constructor(scope: ParameterScope, { inChannels, outChannels, groups }: ResnetBlockOptions) {
    this.#norm1 = new GroupNorm(scope.at("norm1"), groups, inChannels, { silu: true });
    this.#conv1 = new Conv2d(scope.at("conv1"), inChannels, outChannels, 3);
    this.#norm2 = new GroupNorm(scope.at("norm2"), groups, outChannels, { silu: true });
    this.#conv2 = new Conv2d(scope.at("conv2"), outChannels, outChannels, 3);
    if (inChannels !== outChannels) {
      this.#convShortcut = new Conv2d(scope.at("conv_shortcut"), inChannels, outChannels, 1);
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
