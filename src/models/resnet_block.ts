/**
 * Residual block of convolutions.
 *
 * @module
 */

import type { ConvWeight, Frame, Tensor } from "../backends/backend.ts";
import type { ModelWeights, NormParameters, Parameter } from "./model_weights.ts";

/** Epsilon of all group norms of the autoencoder. */
export const GROUP_NORM_EPS = 1e-6;

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
  readonly #norm1: NormParameters;
  readonly #conv1: Parameter<ConvWeight>;
  readonly #norm2: NormParameters;
  readonly #conv2: Parameter<ConvWeight>;
  /** Brings x to the channels of the result, if they differ. */
  readonly #shortcut: Parameter<ConvWeight> | undefined;
  readonly #groups: number;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, options: ResnetBlockOptions) {
    const { inChannels, outChannels, groups } = options;
    this.#norm1 = weights.norm(`${name}.norm1`, inChannels);
    this.#conv1 = weights.conv(`${name}.conv1`, outChannels, inChannels, 3);
    this.#norm2 = weights.norm(`${name}.norm2`, outChannels);
    this.#conv2 = weights.conv(`${name}.conv2`, outChannels, outChannels, 3);
    this.#shortcut = inChannels === outChannels
      ? undefined
      : weights.conv(`${name}.conv_shortcut`, outChannels, inChannels, 1);
    this.#groups = groups;
  }

  /**
   * Changes x (batch, height, width, inChannels) in place if the channels stay the same.
   *
   * @returns (batch, height, width, outChannels).
   */
  record(frame: Frame, x: Tensor): Tensor {
    const sum = this.#shortcut ? frame.conv2d(x, this.#shortcut.value) : x;
    using _scope = frame.scope();
    const hidden = frame.conv2d(this.#recordNorm(frame, x, this.#norm1), this.#conv1.value);
    const normed = this.#recordNorm(frame, hidden, this.#norm2);
    return frame.conv2d(normed, this.#conv2.value, { addTo: sum });
  }

  #recordNorm(frame: Frame, x: Tensor, { weight, bias }: NormParameters): Tensor {
    const groups = this.#groups;
    return frame.groupNorm(x, { weight, bias, groups, eps: GROUP_NORM_EPS, silu: true });
  }
}
