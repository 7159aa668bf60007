/**
 * What the halves of the image autoencoder are made of.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { ImageAttention } from "./image_attention.ts";
import { Conv2d } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import { ResnetBlock } from "./resnet_block.ts";

/** Sizes of a {@linkcode VQBlock}. */
export interface VQBlockOptions {
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Channels of the result. */
  readonly outChannels: number;
  /** Number of residual blocks. */
  readonly layers: number;
  /** Whether attention follows each residual block. */
  readonly attention: boolean;
  /** How the last convolution changes height and width, if there is one. */
  readonly resample?: "down" | "up" | undefined;
  /** Groups of the norms. */
  readonly groups: number;
}

/**
 * One level: residual blocks, with attention or without, then halving or doubling; diffusers'
 * `(Attn)DownEncoderBlock2D` and `(Attn)UpDecoderBlock2D`.
 */
export class VQBlock {
  readonly #resnets: readonly ResnetBlock[];
  readonly #attentions: readonly ImageAttention[];
  readonly #resampler: Conv2d | undefined;

  constructor(scope: ParameterScope, options: VQBlockOptions) {
    const { inChannels, outChannels, layers, attention, resample, groups } = options;
    this.#resnets = scope.at("resnets").list(layers, "layers_per_block", (resnet, i) => {
      const sizes = { inChannels: i === 0 ? inChannels : outChannels, outChannels, groups };
      return new ResnetBlock(resnet, sizes);
    });
    this.#attentions = this.#resnets.slice(0, attention ? layers : 0)
      .map((_, i) => new ImageAttention(scope.at(`attentions.${i}`), outChannels, groups));
    if (resample === undefined) return;
    const conv = scope.at(`${resample}samplers.0.conv`);
    const how = resample === "down" ? { stride: 2 } as const : { upsample: true };
    this.#resampler = new Conv2d(conv, outChannels, outChannels, 3, how);
  }

  /** x (batch, height, width, inChannels), used up → (batch, …, outChannels). */
  forward(frame: Frame, x: Tensor): Tensor {
    this.#resnets.forEach((resnet, i) => {
      x = resnet.forward(frame, x);
      x = this.#attentions[i]?.forward(frame, x) ?? x;
    });
    return this.#resampler?.forward(frame, x) ?? x;
  }
}

/** Residual block, attention, residual block; diffusers' `UNetMidBlock2D` without time. */
export class VQMidBlock {
  readonly #resnet0: ResnetBlock;
  readonly #attention: ImageAttention;
  readonly #resnet1: ResnetBlock;

  constructor(scope: ParameterScope, channels: number, groups: number) {
    const options = { inChannels: channels, outChannels: channels, groups };
    this.#resnet0 = new ResnetBlock(scope.at("resnets.0"), options);
    this.#attention = new ImageAttention(scope.at("attentions.0"), channels, groups);
    this.#resnet1 = new ResnetBlock(scope.at("resnets.1"), options);
  }

  /** x (batch, height, width, channels), used up → the same shape. */
  forward(frame: Frame, x: Tensor): Tensor {
    x = this.#resnet0.forward(frame, x);
    x = this.#attention.forward(frame, x);
    return this.#resnet1.forward(frame, x);
  }
}
