/**
 * Config of the image autoencoder.
 *
 * @module
 */

import {
  type Config,
  integerField,
  integerListField,
  MOST_CODES,
  stringField,
  stringListField,
} from "../checkpoints/config.ts";
import { formatShape } from "../base/format.ts";
import { type SupportedValues, supportOnly, supportTable } from "./support.ts";

/**
 * Fields of diffusers 0.9 to 0.40 that have one meaning here. `force_upcast`, `sample_size` and
 * `scaling_factor` are for other pipelines.
 */
const SUPPORTED: SupportedValues = {
  act_fn: ["silu", "swish"],
  norm_type: ["group"],
  mid_block_add_attention: [true],
  lookup_from_codebook: [false],
};

/** Kind of a block of the encoder. */
export type VQDownBlockType = "DownEncoderBlock2D" | "AttnDownEncoderBlock2D";

/** Kind of a block of the decoder. */
export type VQUpBlockType = "UpDecoderBlock2D" | "AttnUpDecoderBlock2D";

const DOWN_BLOCK_TYPES: readonly VQDownBlockType[] = [
  "DownEncoderBlock2D",
  "AttnDownEncoderBlock2D",
];
const UP_BLOCK_TYPES: readonly VQUpBlockType[] = ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"];

/**
 * How an image becomes codes: by the nearest of the codebook, or by drawing from a distribution over all
 * of them (a Gumbel softmax). diffusers has the first kind only.
 */
export type QuantizerType = "nearest" | "gumbel";

/** Config of a `VQModel`, by the names of diffusers where it has them. */
export interface VQConfig {
  /** Channels of an image. */
  readonly inChannels: number;
  /** Channels of a decoded image. */
  readonly outChannels: number;
  /** Kinds of the encoder's blocks, from the image to the latents. */
  readonly downBlockTypes: readonly VQDownBlockType[];
  /** Kinds of the decoder's blocks, from the latents to the image. */
  readonly upBlockTypes: readonly VQUpBlockType[];
  /** Channels of the blocks, from the image to the latents. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks in each block of the encoder, of which there may be none; the decoder has one more. */
  readonly layersPerBlock: number;
  /** Channels of the encoder's result. */
  readonly latentChannels: number;
  /** Number of tokens: of codes, if each is one. */
  readonly numVqEmbeddings: number;
  /** How an image becomes codes. */
  readonly quantizerType: QuantizerType;
  /**
   * The token of each code that the encoder knows, if tokens are numbered anew; several codes may have
   * one. Undefined if the code is the token.
   */
  readonly tokenOfCode: readonly number[] | undefined;
  /** Size of a code. */
  readonly vqEmbedDim: number;
  /** Number of groups of the group norms. */
  readonly normNumGroups: number;
  /** The config as it was read. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Checks the config of an image autoencoder.
 *
 * @throws {TypeError} If a field is of the wrong type.
 * @throws {RangeError} If a field is out of range, does not fit the others or is not supported.
 */
export function parseVQConfig(config: Config): VQConfig {
  supportOnly(config, "_class_name", ["VQModel"]);
  supportTable(config, SUPPORTED);
  const latentChannels = integerField(config, "latent_channels", { min: 1, default: 3 });
  const numVqEmbeddings = integerField(config, "num_vq_embeddings", { min: 1, default: 256 });
  const parsed: VQConfig = {
    inChannels: integerField(config, "in_channels", { min: 1, default: 3 }),
    outChannels: integerField(config, "out_channels", { min: 1, default: 3 }),
    downBlockTypes: stringListField(config, "down_block_types", {
      oneOf: DOWN_BLOCK_TYPES,
      default: ["DownEncoderBlock2D"],
    }),
    upBlockTypes: stringListField(config, "up_block_types", {
      oneOf: UP_BLOCK_TYPES,
      default: ["UpDecoderBlock2D"],
    }),
    blockOutChannels: integerListField(config, "block_out_channels", { min: 1, default: [64] }),
    layersPerBlock: integerField(config, "layers_per_block", { min: 0, default: 1 }),
    latentChannels,
    numVqEmbeddings,
    quantizerType: stringField<QuantizerType>(config, "quantizer_type", {
      default: "nearest",
      oneOf: ["nearest", "gumbel"],
    }),
    tokenOfCode: tokensOf(config, numVqEmbeddings),
    vqEmbedDim: integerField(config, "vq_embed_dim", { min: 1, default: latentChannels }),
    normNumGroups: integerField(config, "norm_num_groups", { min: 1, default: 32 }),
    json: config.values,
  };
  checkBlocks(config, parsed);
  return parsed;
}

function tokensOf(config: Config, tokens: number): readonly number[] | undefined {
  if ((config.values["token_of_code"] ?? null) === null) return undefined;
  const range = { min: 0, max: tokens - 1, maxLength: MOST_CODES };
  const tokenOfCode = integerListField(config, "token_of_code", range);
  if (tokenOfCode.length >= tokens) return tokenOfCode;
  throw new RangeError(
    `Cannot use ${config.description}: token_of_code has ${tokenOfCode.length} elements, expected at ` +
      `least ${tokens}, one for each of num_vq_embeddings`,
  );
}

function checkBlocks(config: Config, parsed: VQConfig): void {
  const { blockOutChannels, downBlockTypes, upBlockTypes, normNumGroups, layersPerBlock } = parsed;
  const levels = blockOutChannels.length;
  if (levels === 0 || downBlockTypes.length !== levels || upBlockTypes.length !== levels) {
    throw new RangeError(
      `Cannot use ${config.description}: block_out_channels, down_block_types and up_block_types ` +
        `have ${levels}, ${downBlockTypes.length} and ${upBlockTypes.length} elements, expected ` +
        `equally many and at least one`,
    );
  }
  if (layersPerBlock === 0 && new Set(blockOutChannels).size > 1) {
    throw new RangeError(
      `Cannot use ${config.description}: block_out_channels is ${formatShape(blockOutChannels)}, ` +
        `expected equal numbers beside layers_per_block 0`,
    );
  }
  if (blockOutChannels.some((channels) => channels % normNumGroups !== 0)) {
    const channels = formatShape(blockOutChannels);
    throw new RangeError(
      `Cannot use ${config.description}: block_out_channels is ${channels}, expected multiples of ` +
        `norm_num_groups, ${normNumGroups}`,
    );
  }
}
