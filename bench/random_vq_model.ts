// An image autoencoder for measuring: config, shapes of the weights and arithmetic of decoding.

import type { Config } from "../src/checkpoints/config.ts";
import type { NamedShape, Work } from "./random_transformer.ts";
import { elements } from "./random_weights.ts";

/** Sizes of a `VQModel` whose lowest level has attention. */
export interface VQSize {
  /** Channels of the levels, from the image to the latents. */
  readonly channels: readonly number[];
  /** Residual blocks of a level of the encoder; the decoder has one more. */
  readonly layers: number;
  /** Side of the image, in pixels. */
  readonly side: number;
  /** Channels of latents and columns of the codes. */
  readonly latentChannels: number;
  /** Number of codes. */
  readonly codes: number;
}

/** Sizes of the autoencoder of the ithq model. */
export const ITHQ_VQ: VQSize = {
  channels: [128, 128, 256, 512],
  layers: 2,
  side: 256,
  latentChannels: 256,
  codes: 4096,
};

/** Side of the latents. */
export function latentSide({ side, channels }: VQSize): number {
  return side / 2 ** (channels.length - 1);
}

/** Config of an autoencoder, as diffusers writes it. */
export function vqConfig(size: VQSize): Config {
  const { channels, layers, latentChannels, codes } = size;
  const plain = channels.length - 1;
  return {
    description: "random autoencoder",
    values: {
      _class_name: "VQModel",
      block_out_channels: channels,
      layers_per_block: layers,
      down_block_types: [...Array(plain).fill("DownEncoderBlock2D"), "AttnDownEncoderBlock2D"],
      up_block_types: ["AttnUpDecoderBlock2D", ...Array(plain).fill("UpDecoderBlock2D")],
      latent_channels: latentChannels,
      vq_embed_dim: latentChannels,
      num_vq_embeddings: codes,
    },
  };
}

/** All arrays of an autoencoder. */
export function vqShapes(size: VQSize): NamedShape[] {
  const { latentChannels, codes } = size;
  return [
    ...encoderShapes(size),
    ...convolution("quant_conv", latentChannels, latentChannels, 1),
    ["quantize.embedding.weight", [codes, latentChannels]],
    ...convolution("post_quant_conv", latentChannels, latentChannels, 1),
    ...decoderLevels(size).flatMap(({ shapes }) => shapes),
  ];
}

/** Arithmetic of decoding one image. */
export function decoderWork(size: VQSize): Work {
  const work = { linear: 0, other: 2 * latentSide(size) ** 2 * size.latentChannels ** 2 };
  for (const { shapes, pixels } of decoderLevels(size)) {
    for (const [name, shape] of shapes) {
      if (shape.length === 1) continue;
      // Of the arrays, only those of attention are matrices.
      work[shape.length === 2 ? "linear" : "other"] += 2 * pixels * elements(shape);
      if (name.endsWith(".query.weight")) work.other += 4 * pixels ** 2 * shape[0]!;
    }
  }
  return work;
}

/** Arrays that are applied to images of so many pixels. */
interface Level {
  readonly shapes: readonly NamedShape[];
  readonly pixels: number;
}

function decoderLevels(size: VQSize): Level[] {
  const channels = size.channels.toReversed();
  const lowest = channels[0]!;
  const levels: Level[] = [{
    shapes: [
      ...convolution("decoder.conv_in", lowest, size.latentChannels, 3),
      ...middleBlock("decoder.mid_block", lowest),
    ],
    pixels: latentSide(size) ** 2,
  }];
  channels.forEach((out, i) => {
    const name = `decoder.up_blocks.${i}`;
    const pixels = (latentSide(size) * 2 ** i) ** 2;
    const options = { layers: size.layers + 1, attention: i === 0 };
    levels.push({ shapes: level(name, out, channels[i - 1] ?? lowest, options), pixels });
    if (i === channels.length - 1) return;
    levels.push({
      shapes: convolution(`${name}.upsamplers.0.conv`, out, out, 3),
      pixels: 4 * pixels,
    });
  });
  const last = channels.at(-1)!;
  levels.push({
    shapes: [
      ...norm("decoder.conv_norm_out", last),
      ...convolution("decoder.conv_out", 3, last, 3),
    ],
    pixels: size.side ** 2,
  });
  return levels;
}

function encoderShapes({ channels, layers, latentChannels }: VQSize): NamedShape[] {
  const lowest = channels.at(-1)!;
  const isLast = (i: number) => i === channels.length - 1;
  return [
    ...convolution("encoder.conv_in", channels[0]!, 3, 3),
    ...channels.flatMap((out, i) => {
      const name = `encoder.down_blocks.${i}`;
      return [
        ...level(name, out, channels[i - 1] ?? out, { layers, attention: isLast(i) }),
        ...(isLast(i) ? [] : convolution(`${name}.downsamplers.0.conv`, out, out, 3)),
      ];
    }),
    ...middleBlock("encoder.mid_block", lowest),
    ...norm("encoder.conv_norm_out", lowest),
    ...convolution("encoder.conv_out", latentChannels, lowest, 3),
  ];
}

function level(
  name: string,
  out: number,
  input: number,
  { layers, attention }: { readonly layers: number; readonly attention: boolean },
): NamedShape[] {
  return Array.from({ length: layers }, (_, i) => [
    ...residualBlock(`${name}.resnets.${i}`, out, i === 0 ? input : out),
    ...(attention ? imageAttention(`${name}.attentions.${i}`, out) : []),
  ]).flat();
}

function middleBlock(name: string, channels: number): NamedShape[] {
  return [
    ...residualBlock(`${name}.resnets.0`, channels, channels),
    ...imageAttention(`${name}.attentions.0`, channels),
    ...residualBlock(`${name}.resnets.1`, channels, channels),
  ];
}

function residualBlock(name: string, out: number, input: number): NamedShape[] {
  return [
    ...norm(`${name}.norm1`, input),
    ...convolution(`${name}.conv1`, out, input, 3),
    ...norm(`${name}.norm2`, out),
    ...convolution(`${name}.conv2`, out, out, 3),
    ...(input === out ? [] : convolution(`${name}.conv_shortcut`, out, input, 1)),
  ];
}

function imageAttention(name: string, channels: number): NamedShape[] {
  const projections = ["query", "key", "value", "proj_attn"];
  return [
    ...norm(`${name}.group_norm`, channels),
    ...projections.flatMap((projection): NamedShape[] => [
      [`${name}.${projection}.weight`, [channels, channels]],
      [`${name}.${projection}.bias`, [channels]],
    ]),
  ];
}

function norm(name: string, channels: number): NamedShape[] {
  return [[`${name}.weight`, [channels]], [`${name}.bias`, [channels]]];
}

function convolution(name: string, out: number, input: number, side: 1 | 3): NamedShape[] {
  return [[`${name}.weight`, [out, input, side, side]], [`${name}.bias`, [out]]];
}
