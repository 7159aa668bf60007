/**
 * The half of the image autoencoder that makes an image of latents.
 *
 * @module
 */

import type { ConvWeight, Frame, Tensor } from "../backends/backend.ts";
import type { ModelWeights, NormParameters, Parameter } from "./model_weights.ts";
import { GROUP_NORM_EPS } from "./resnet_block.ts";
import { VQBlock, VQMidBlock } from "./vq_blocks.ts";
import type { VQConfig } from "./vq_config.ts";

/** Diffusers' `Decoder`: the middle block, then levels that double height and width. */
export class VQDecoder {
  readonly #convIn: Parameter<ConvWeight>;
  readonly #midBlock: VQMidBlock;
  readonly #blocks: readonly VQBlock[];
  readonly #normOut: NormParameters;
  readonly #convOut: Parameter<ConvWeight>;
  readonly #groups: number;

  /** Declares the weights, whose names begin with `name`. */
  constructor(weights: ModelWeights, name: string, config: VQConfig) {
    const { normNumGroups: groups } = config;
    const channels = config.blockOutChannels.toReversed();
    const first = channels[0]!;
    const last = channels.at(-1)!;
    this.#convIn = weights.conv(`${name}.conv_in`, first, config.latentChannels, 3);
    this.#midBlock = new VQMidBlock(weights, `${name}.mid_block`, first, groups);
    this.#blocks = channels.map((outChannels, i) =>
      new VQBlock(weights, `${name}.up_blocks.${i}`, {
        inChannels: channels[i - 1] ?? first,
        outChannels,
        layers: config.layersPerBlock + 1,
        attention: config.upBlockTypes[i] === "AttnUpDecoderBlock2D",
        resample: i < channels.length - 1 ? "up" : undefined,
        groups,
      })
    );
    this.#normOut = weights.norm(`${name}.conv_norm_out`, last);
    this.#convOut = weights.conv(`${name}.conv_out`, config.outChannels, last, 3);
    this.#groups = groups;
  }

  /** (batch, height, width, latentChannels) → (batch, greater height and width, outChannels). */
  record(frame: Frame, latents: Tensor): Tensor {
    let x = frame.conv2d(latents, this.#convIn.value);
    this.#midBlock.record(frame, x);
    for (const block of this.#blocks) x = block.record(frame, x);
    const { weight, bias } = this.#normOut;
    const options = { weight, bias, groups: this.#groups, eps: GROUP_NORM_EPS, silu: true };
    return frame.conv2d(frame.groupNorm(x, options), this.#convOut.value);
  }
}
