/**
 * The half of the image autoencoder that makes latents of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm, type WeightScope } from "./layers.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Encoder`: levels that halve height and width, then the middle block. */
export class VQEncoder {
  readonly #convIn: Conv2d;
  readonly #blocks: readonly VQBlock[];
  readonly #midBlock: VQMidBlock;
  readonly #normOut: GroupNorm;
  readonly #convOut: Conv2d;

  constructor(weights: WeightScope, config: VQConfig) {
    const { blockOutChannels: channels, normNumGroups: groups } = config;
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = new Conv2d(weights.at("conv_in"), first, config.inChannels, 3);
    this.#blocks = channels.map((outChannels, i) =>
      new VQBlock(weights.at("down_blocks").at(i), {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock,
        attention: config.downBlockTypes[i] === "AttnDownEncoderBlock2D",
        resample: i < channels.length - 1 ? "down" : undefined,
        groups,
      })
    );
    this.#midBlock = new VQMidBlock(weights.at("mid_block"), last, groups);
    this.#normOut = new GroupNorm(weights.at("conv_norm_out"), last, groups, { silu: true });
    this.#convOut = new Conv2d(weights.at("conv_out"), config.latentChannels, last, 3);
  }

  /** (batch, height, width, inChannels) → (batch, smaller height and width, latentChannels). */
  forward(frame: Frame, images: Tensor): Tensor {
    let x = this.#convIn.forward(frame, images);
    for (const block of this.#blocks) x = block.forward(frame, x);
    x = this.#midBlock.forward(frame, x);
    return this.#convOut.forward(frame, this.#normOut.forward(frame, x));
  }
}
