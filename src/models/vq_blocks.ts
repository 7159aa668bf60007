/**
 * What the halves of the image autoencoder are made of.
 *
 * @module
 */

import type { ConvWeight, Frame, Tensor } from "../backends/backend.ts";
import { ImageAttention } from "./image_attention.ts";
import type { ModelWeights, Parameter } from "./model_weights.ts";
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
  readonly #resampler: Parameter<ConvWeight> | undefined;
  readonly #resample: "down" | "up" | undefined;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, options: VQBlockOptions) {
    const { inChannels, outChannels, layers, attention, resample, groups } = options;
    this.#resnets = Array.from(
      { length: layers },
      (_, i) =>
        new ResnetBlock(weights, `${name}.resnets.${i}`, {
          inChannels: i === 0 ? inChannels : outChannels,
          outChannels,
          groups,
        }),
    );
    this.#attentions = Array.from(
      { length: attention ? layers : 0 },
      (_, i) => new ImageAttention(weights, `${name}.attentions.${i}`, outChannels, groups),
    );
    this.#resample = resample;
    this.#resampler = resample &&
      weights.conv(`${name}.${resample}samplers.0.conv`, outChannels, outChannels, 3);
  }

  /** Changes x (batch, height, width, channels) in place where it can. */
  record(frame: Frame, x: Tensor): Tensor {
    this.#resnets.forEach((resnet, i) => {
      x = resnet.record(frame, x);
      this.#attentions[i]?.record(frame, x);
    });
    if (this.#resampler === undefined) return x;
    const options = this.#resample === "down" ? { stride: 2 as const } : { upsample: true };
    return frame.conv2d(x, this.#resampler.value, options);
  }
}

/** Residual block, attention, residual block; diffusers' `UNetMidBlock2D` without time. */
export class VQMidBlock {
  readonly #first: ResnetBlock;
  readonly #attention: ImageAttention;
  readonly #last: ResnetBlock;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, channels: number, groups: number) {
    const options = { inChannels: channels, outChannels: channels, groups };
    this.#first = new ResnetBlock(weights, `${name}.resnets.0`, options);
    this.#attention = new ImageAttention(weights, `${name}.attentions.0`, channels, groups);
    this.#last = new ResnetBlock(weights, `${name}.resnets.1`, options);
  }

  /** Changes x (batch, height, width, channels) in place. */
  record(frame: Frame, x: Tensor): void {
    this.#first.record(frame, x);
    this.#attention.record(frame, x);
    this.#last.record(frame, x);
  }
}
