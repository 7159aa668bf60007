/**
 * The half of the image autoencoder that makes latents of an image.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Encoder`: levels that halve height and width, then the middle block. */
export class VQEncoder {
  readonly #convIn: Conv2d;
  readonly #downBlocks: readonly VQBlock[];
  readonly #midBlock: VQMidBlock;
  readonly #convNormOut: GroupNorm;
  readonly #convOut: Conv2d;

  constructor(scope: ParameterScope, config: VQConfig) {
    const { blockOutChannels: channels, normNumGroups: groups } = config;
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = new Conv2d(scope.at("conv_in"), config.inChannels, first, 3);
    this.#downBlocks = channels.map((outChannels, i) =>
      new VQBlock(scope.at(`down_blocks.${i}`), {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock,
        attention: config.downBlockTypes[i] === "AttnDownEncoderBlock2D",
        resample: i < channels.length - 1 ? "down" : undefined,
        groups,
      })
    );
    this.#midBlock = new VQMidBlock(scope.at("mid_block"), last, groups);
    this.#convNormOut = new GroupNorm(scope.at("conv_norm_out"), groups, last, { silu: true });
    this.#convOut = new Conv2d(scope.at("conv_out"), last, config.latentChannels, 3);
  }

  /** (batch, height, width, inChannels) → (batch, smaller height and width, latentChannels). */
  forward(frame: Frame, images: Tensor): Tensor {
    let x = this.#convIn.forward(frame, images);
    for (const block of this.#downBlocks) x = block.forward(frame, x);
    x = this.#midBlock.forward(frame, x);
    return this.#convOut.forward(frame, this.#convNormOut.forward(frame, x));
  }
}
