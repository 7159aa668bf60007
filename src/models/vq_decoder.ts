/**
 * The half of the image autoencoder that makes an image of latents.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm, type WeightScope } from "./layers.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Decoder`: the middle block, then levels that double height and width. */
export class VQDecoder {
  readonly #convIn: Conv2d;
  readonly #midBlock: VQMidBlock;
  readonly #blocks: readonly VQBlock[];
  readonly #normOut: GroupNorm;
  readonly #convOut: Conv2d;

  constructor(weights: WeightScope, config: VQConfig) {
    const { normNumGroups: groups } = config;
    const channels = config.blockOutChannels.toReversed();
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = new Conv2d(weights.at("conv_in"), first, config.latentChannels, 3);
    this.#midBlock = new VQMidBlock(weights.at("mid_block"), first, groups);
    this.#blocks = channels.map((outChannels, i) =>
      new VQBlock(weights.at("up_blocks").at(i), {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock + 1,
        attention: config.upBlockTypes[i] === "AttnUpDecoderBlock2D",
        resample: i < channels.length - 1 ? "up" : undefined,
        groups,
      })
    );
    this.#normOut = new GroupNorm(weights.at("conv_norm_out"), last, groups, { silu: true });
    this.#convOut = new Conv2d(weights.at("conv_out"), config.outChannels, last, 3);
  }

  /** (batch, height, width, latentChannels) → (batch, greater height and width, outChannels). */
  forward(frame: Frame, latents: Tensor): Tensor {
    let x = this.#convIn.forward(frame, latents);
    x = this.#midBlock.forward(frame, x);
    for (const block of this.#blocks) x = block.forward(frame, x);
    return this.#convOut.forward(frame, this.#normOut.forward(frame, x));
  }
}
