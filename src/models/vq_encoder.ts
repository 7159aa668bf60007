/**
 * The half of the image autoencoder that makes latents of an image.
 *
 * @module
 */

import type { ConvWeight, Frame, Tensor } from "../backends/backend.ts";
import type { ModelWeights, NormParameters, Parameter } from "./model_weights.ts";
import { GROUP_NORM_EPS } from "./resnet_block.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Encoder`: levels that halve height and width, then the middle block. */
export class VQEncoder {
  readonly #convIn: Parameter<ConvWeight>;
  readonly #blocks: readonly VQBlock[];
  readonly #midBlock: VQMidBlock;
  readonly #normOut: NormParameters;
  readonly #convOut: Parameter<ConvWeight>;
  readonly #groups: number;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, config: VQConfig) {
    const { blockOutChannels: channels, normNumGroups: groups } = config;
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = weights.conv(`${name}.conv_in`, first, config.inChannels, 3);
    this.#blocks = channels.map((outChannels, i) =>
      new VQBlock(weights, `${name}.down_blocks.${i}`, {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock,
        attention: config.downBlockTypes[i] === "AttnDownEncoderBlock2D",
        resample: i < channels.length - 1 ? "down" : undefined,
        groups,
      })
    );
    this.#midBlock = new VQMidBlock(weights, `${name}.mid_block`, last, groups);
    this.#normOut = weights.norm(`${name}.conv_norm_out`, last);
    this.#convOut = weights.conv(`${name}.conv_out`, config.latentChannels, last, 3);
    this.#groups = groups;
  }

  /** (batch, height, width, inChannels) → (batch, smaller height and width, latentChannels). */
  record(frame: Frame, images: Tensor): Tensor {
    let x = frame.conv2d(images, this.#convIn.value);
    for (const block of this.#blocks) x = block.record(frame, x);
    this.#midBlock.record(frame, x);
    const { weight, bias } = this.#normOut;
    const options = { weight, bias, groups: this.#groups, eps: GROUP_NORM_EPS, silu: true };
    return frame.conv2d(frame.groupNorm(x, options), this.#convOut.value);
  }
}
