/**
 * The half of the image autoencoder that makes an image of latents.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { Conv2d, GroupNorm } from "./layers.ts";
import type { ParameterScope } from "./parameters.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Decoder`: the middle block, then levels that double height and width. */
export class VQDecoder {
  readonly #convIn: Conv2d;
  readonly #midBlock: VQMidBlock;
  readonly #upBlocks: readonly VQBlock[];
  readonly #convNormOut: GroupNorm;
  readonly #convOut: Conv2d;

  constructor(scope: ParameterScope, config: VQConfig) {
    const { normNumGroups: groups } = config;
    const channels = config.blockOutChannels.toReversed();
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = new Conv2d(scope.at("conv_in"), config.latentChannels, first, 3);
    this.#midBlock = new VQMidBlock(scope.at("mid_block"), first, groups);
    this.#upBlocks = channels.map((outChannels, i) =>
      new VQBlock(scope.at(`up_blocks.${i}`), {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock + 1,
        attention: config.upBlockTypes[i] === "AttnUpDecoderBlock2D",
        resample: i < channels.length - 1 ? "up" : undefined,
        groups,
      })
    );
    this.#convNormOut = new GroupNorm(scope.at("conv_norm_out"), groups, last, { silu: true });
    this.#convOut = new Conv2d(scope.at("conv_out"), last, config.outChannels, 3);
  }

  /** (batch, height, width, latentChannels) → (batch, greater height and width, outChannels). */
  forward(frame: Frame, latents: Tensor): Tensor {
    let x = this.#convIn.forward(frame, latents);
    x = this.#midBlock.forward(frame, x);
    for (const block of this.#upBlocks) x = block.forward(frame, x);
    return this.#convOut.forward(frame, this.#convNormOut.forward(frame, x));
  }
}
