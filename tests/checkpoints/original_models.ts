/**
 * Small models under the names of Microsoft's code and, beside them, of diffusers: for each array the
 * two names and the shapes, written down module by module as the classes of both have them.
 *
 * @module
 */

import { elementCount } from "../../src/base/shapes.ts";
import type { StoredArray } from "../../src/checkpoints/arrays.ts";
import type { TorchGenerator } from "../../src/random/torch_generator.ts";
import type { TorchValue } from "./torch/torch_writer.ts";

/** An array of a model. */
export interface NamedArray {
  /** Name in Microsoft's module. */
  readonly original: string;
  /** Name in diffusers or transformers. */
  readonly name: string;
  /** Shape in Microsoft's module. */
  readonly shape: readonly number[];
  /** Shape in diffusers, if it is another. */
  readonly newShape?: readonly number[];
}

/** Sizes of a small model. */
export interface OriginalSize {
  readonly layers: number;
  readonly columns: number;
  readonly side: number;
  readonly tokens: number;
  readonly timesteps: number;
  readonly textColumns: number;
  readonly textLayers: number;
  readonly vocabulary: number;
  readonly length: number;
}

/** Sizes that fit 16 heads, the tokenizer of the tiny model and an autoencoder of two levels. */
export const SMALL: OriginalSize = {
  layers: 2,
  columns: 32,
  side: 4,
  tokens: 24,
  timesteps: 10,
  textColumns: 64,
  textLayers: 2,
  vocabulary: 1014,
  length: 77,
};

const layer = (original: string, name: string, ...shape: number[]): NamedArray[] => [
  { original: `${original}.weight`, name: `${name}.weight`, shape },
  { original: `${original}.bias`, name: `${name}.bias`, shape: [shape[0]!] },
];

/** The module `transformer.transformer`: `Text2ImageTransformer`. */
export function transformerArrays(size: OriginalSize): NamedArray[] {
  const { layers, columns: c, side, tokens, timesteps, textColumns } = size;
  const embedding = (name: string, rows: number): NamedArray => ({
    original: `content_emb.${name}.weight`,
    name: `latent_image_embedding.${name}.weight`,
    shape: [rows, c],
  });
  const block = (i: number): NamedArray[] => {
    const [from, to] = [`blocks.${i}`, `transformer_blocks.${i}`];
    const norm = (original: string, name: string): NamedArray[] => [
      {
        original: `${from}.${original}.emb.weight`,
        name: `${to}.${name}.emb.weight`,
        shape: [timesteps, c],
      },
      ...layer(`${from}.${original}.linear`, `${to}.${name}.linear`, 2 * c, c),
    ];
    const attention = (name: string, context: number): NamedArray[] => [
      ...layer(`${from}.${name}.key`, `${to}.${name}.to_k`, c, context),
      ...layer(`${from}.${name}.query`, `${to}.${name}.to_q`, c, c),
      ...layer(`${from}.${name}.value`, `${to}.${name}.to_v`, c, context),
      ...layer(`${from}.${name}.proj`, `${to}.${name}.to_out.0`, c, c),
    ];
    return [
      ...norm("ln1", "norm1"),
      ...layer(`${from}.ln2`, `${to}.norm3`, c),
      ...attention("attn1", c),
      ...attention("attn2", textColumns),
      ...norm("ln1_1", "norm2"),
      ...layer(`${from}.mlp.0`, `${to}.ff.net.0.proj`, 4 * c, c),
      ...layer(`${from}.mlp.2`, `${to}.ff.net.2`, c, 4 * c),
    ];
  };
  return [
    embedding("emb", tokens + 1),
    embedding("height_emb", side),
    embedding("width_emb", side),
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    ...layer("to_logits.0", "norm_out", c),
    ...layer("to_logits.1", "out", tokens, c),
  ];
}

/** The module `transformer.condition_emb`, without the projections to queries, keys and values. */
export function textEncoderArrays(size: OriginalSize): NamedArray[] {
  const { textColumns: c, textLayers, vocabulary, length } = size;
  const to = "text_model";
  const block = (i: number): NamedArray[] => {
    const [from, to] = [`transformer.resblocks.${i}`, `text_model.encoder.layers.${i}`];
    return [
      ...layer(`${from}.attn.out_proj`, `${to}.self_attn.out_proj`, c, c),
      ...layer(`${from}.ln_1`, `${to}.layer_norm1`, c),
      ...layer(`${from}.mlp.c_fc`, `${to}.mlp.fc1`, 4 * c, c),
      ...layer(`${from}.mlp.c_proj`, `${to}.mlp.fc2`, c, 4 * c),
      ...layer(`${from}.ln_2`, `${to}.layer_norm2`, c),
    ];
  };
  return [
    {
      original: "positional_embedding",
      name: `${to}.embeddings.position_embedding.weight`,
      shape: [length, c],
    },
    {
      original: "token_embedding.weight",
      name: `${to}.embeddings.token_embedding.weight`,
      shape: [vocabulary, c],
    },
    ...Array.from({ length: textLayers }, (_, i) => block(i)).flat(),
    ...layer("ln_final", `${to}.final_layer_norm`, c),
  ];
}

/** Channels of the levels of the small autoencoder; its group norms have 32 groups. */
export const VQ_CHANNELS: readonly number[] = [32, 64];
/** Residual blocks in each level of the encoder; the decoder has one more. */
const VQ_LAYERS = 1;
/** Channels of the encoder's result, and columns of a code. */
const [Z, CODE] = [8, 6];

/** The halves of the autoencoder, without the codebook. Attention is at the lowest level. */
export function vqArrays(): NamedArray[] {
  const [first, last] = [VQ_CHANNELS[0]!, VQ_CHANNELS.at(-1)!];
  return [
    ...layer("encoder.conv_in", "encoder.conv_in", first, 3, 3, 3),
    ...level("encoder.down.0", "encoder.down_blocks.0", [first, first], VQ_LAYERS),
    ...layer(
      "encoder.down.0.downsample.conv",
      "encoder.down_blocks.0.downsamplers.0.conv",
      first,
      first,
      3,
      3,
    ),
    ...level("encoder.down.1", "encoder.down_blocks.1", [first, last], VQ_LAYERS, true),
    ...middle("encoder", last),
    ...layer("encoder.norm_out", "encoder.conv_norm_out", last),
    ...layer("encoder.conv_out", "encoder.conv_out", Z, last, 3, 3),
    ...layer("quant_conv", "quant_conv", CODE, Z, 1, 1),
    ...layer("post_quant_conv", "post_quant_conv", Z, CODE, 1, 1),
    ...layer("decoder.conv_in", "decoder.conv_in", last, Z, 3, 3),
    ...middle("decoder", last),
    ...level("decoder.up.1", "decoder.up_blocks.0", [last, last], VQ_LAYERS + 1, true),
    ...layer(
      "decoder.up.1.upsample.conv",
      "decoder.up_blocks.0.upsamplers.0.conv",
      last,
      last,
      3,
      3,
    ),
    ...level("decoder.up.0", "decoder.up_blocks.1", [last, first], VQ_LAYERS + 1),
    ...layer("decoder.norm_out", "decoder.conv_norm_out", first),
    ...layer("decoder.conv_out", "decoder.conv_out", 3, first, 3, 3),
  ];
}

/** Shape of the codebook. */
export function codebookShape(codes: number): number[] {
  return [codes, CODE];
}

function level(
  original: string,
  name: string,
  [input, out]: readonly [number, number],
  blocks: number,
  attention = false,
): NamedArray[] {
  return Array.from({ length: blocks }, (_, i) => [
    ...resnet(`${original}.block.${i}`, `${name}.resnets.${i}`, i === 0 ? input : out, out),
    ...(attention ? attend(`${original}.attn.${i}`, `${name}.attentions.${i}`, out) : []),
  ]).flat();
}

function middle(half: string, c: number): NamedArray[] {
  const [from, to] = [`${half}.mid`, `${half}.mid_block`];
  return [
    ...resnet(`${from}.block_1`, `${to}.resnets.0`, c, c),
    ...attend(`${from}.attn_1`, `${to}.attentions.0`, c),
    ...resnet(`${from}.block_2`, `${to}.resnets.1`, c, c),
  ];
}

function resnet(original: string, name: string, input: number, out: number): NamedArray[] {
  const shortcut = layer(`${original}.nin_shortcut`, `${name}.conv_shortcut`, out, input, 1, 1);
  return [
    ...layer(`${original}.norm1`, `${name}.norm1`, input),
    ...layer(`${original}.conv1`, `${name}.conv1`, out, input, 3, 3),
    ...layer(`${original}.norm2`, `${name}.norm2`, out),
    ...layer(`${original}.conv2`, `${name}.conv2`, out, out, 3, 3),
    ...(input === out ? [] : shortcut),
  ];
}

function attend(original: string, name: string, c: number): NamedArray[] {
  const projections = [["q", "query"], ["k", "key"], ["v", "value"], ["proj_out", "proj_attn"]];
  return [
    ...layer(`${original}.norm`, `${name}.group_norm`, c),
    ...projections.flatMap(([from, to]) =>
      layer(`${original}.${from}`, `${name}.${to}`, c, c, 1, 1)
        .map((array) => array.shape.length === 4 ? { ...array, newShape: [c, c] } : array)
    ),
  ];
}

/** An array of small random numbers. */
export function randomArray(
  generator: TorchGenerator,
  shape: readonly number[],
  dtype: "F32" | "F16" | "F64" = "F32",
): StoredArray {
  const values = new Float32Array(elementCount(shape));
  generator.fill(values);
  const centred = values.map((value) => 0.4 * (value - 0.5));
  const { buffer } = dtype === "F32"
    ? centred
    : dtype === "F16"
    ? Float16Array.from(centred)
    : Float64Array.from(centred);
  return { dtype, shape, bytes: new Uint8Array(buffer) };
}

/** Arrays by name, filled with random numbers, and the same under the names of diffusers. */
export interface FilledArrays {
  readonly original: Record<string, StoredArray>;
  readonly expected: Record<string, StoredArray>;
}

/** Fills arrays with random numbers. */
export function filled(
  arrays: readonly NamedArray[],
  generator: TorchGenerator,
  dtype: "F32" | "F16" = "F32",
): FilledArrays {
  const pairs: FilledArrays = { original: {}, expected: {} };
  for (const { original, name, shape, newShape = shape } of arrays) {
    const array = randomArray(generator, shape, dtype);
    pairs.original[original] = array;
    pairs.expected[name] = { ...array, shape: newShape };
  }
  return pairs;
}

/** The same names with something before each. */
export function prefixed<T extends TorchValue>(
  prefix: string,
  values: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));
}
