/**
 * The image autoencoder of an original checkpoint: `PatchVQGAN` in Microsoft's code, and the models of
 * Taming Transformers (Esser et al., arXiv 2012.09841), whose modules have the same names.
 *
 * @module
 */

import { STORED_DTYPES } from "../../base/dtypes.ts";
import { type StoredArray, typedArray } from "../arrays.ts";
import type { ArraySource } from "../arrays.ts";
import { MOST_CODES } from "../config.ts";
import { type ConvertedArray, type NameRule, renamed, StateDict } from "./state_dict.ts";

/** Where a file may have the modules: itself, a first stage, or the codec of a whole model. */
const PREFIXES = /^(model\.)?(first_stage_model\.|content_codec\.(enc|dec)\.)?/;
const MODULES = /^(encoder|decoder|quant_conv|post_quant_conv|quantize)\./;

/** Names of the codebook: a buffer that follows an average, an embedding, one after a Gumbel softmax. */
const CODEBOOKS = ["quantize.embedding", "quantize.embedding.weight", "quantize.embed.weight"];

/** Groups of all group norms, fixed in the originals. */
const NORM_GROUPS = 32;

/** The codes behind tokens that were numbered anew. */
export interface TokenCodes {
  /** For each token the row of the codebook: the first code that stands for it. */
  readonly codeOfToken: Int32Array;
  /** For each code its token. */
  readonly tokenOfCode: Int32Array;
}

/** Whether a checkpoint holds an autoencoder. */
export function holdsVq(source: ArraySource): boolean {
  return modulesOf(source).has("quant_conv.weight");
}

/**
 * The autoencoder that is in a checkpoint.
 *
 * @throws {TypeError} If there is none.
 */
export function vqStateDict(source: ArraySource): StateDict {
  const names = modulesOf(source);
  if (!names.has("quant_conv.weight")) {
    throw new TypeError(
      `Cannot convert ${source.description}: it holds no image autoencoder; give its own file`,
    );
  }
  return new StateDict(source, names);
}

/** Names in the checkpoint by names in the modules; of those that it has twice the first. */
function modulesOf(source: ArraySource): Map<string, string> {
  const names = new Map<string, string>();
  for (const original of source.names()) {
    const name = original.replace(PREFIXES, "");
    if (MODULES.test(name) && !names.has(name)) names.set(name, original);
  }
  return names;
}

/** Whether the encoder draws codes by a Gumbel softmax, by logits that a projection gives. */
function isGumbel(weights: StateDict): boolean {
  return weights.has(PROJECTION[0]);
}

/** The projection of a Gumbel softmax, the same in the converted model. */
const PROJECTION = ["quantize.proj.weight", "quantize.proj.bias"] as const;

/**
 * The arrays by the names of diffusers. If tokens are numbered anew, the codebook is that of the tokens,
 * with which diffusers decodes; the whole one, which the encoder takes, lies beside it.
 */
export function vqArrays(weights: StateDict, codes?: TokenCodes): ConvertedArray[] {
  const levels = weights.count("decoder.up.");
  const rules: readonly NameRule[] = [
    ...RULES,
    // The original counts levels from the image, diffusers in the order of computation.
    [/\.up\.(\d+)\./, (level) => `.up_blocks.${levels - 1 - Number(level)}.`],
  ];
  const arrays = weights.names()
    .filter((name) => !name.startsWith("quantize."))
    .map((name) => asMatrix(weights.array(name, renamed(name, rules))));
  const whole = codebookName(weights);
  return [
    ...arrays,
    codebook(weights, codes?.codeOfToken),
    ...(isGumbel(weights)
      ? PROJECTION.map((name) => weights.array(name))
      : codes === undefined
      ? []
      : [weights.array(whole, "quantize.codebook.weight")]),
  ];
}

/**
 * The config in the form of diffusers, which follows from names and shapes.
 *
 * @throws {TypeError} If an array is missing.
 */
export function vqConfig(weights: StateDict, codes?: TokenCodes): Record<string, unknown> {
  // The decoder has a block in each level even if the encoder has none.
  const levels = weights.count("decoder.up.");
  const layers = weights.count("encoder.down.0.block.");
  const attends = (level: string) => weights.has(`${level}.attn.0.q.weight`);
  const level = Array.from({ length: levels }, (_, i) => i);
  return {
    _class_name: "VQModel",
    _diffusers_version: "0.9.0",
    act_fn: "silu",
    block_out_channels: level.map((i) => weights.rows(`decoder.up.${i}.block.0.conv2.weight`, 4)),
    down_block_types: level.map((i) =>
      attends(`encoder.down.${i}`) ? "AttnDownEncoderBlock2D" : "DownEncoderBlock2D"
    ),
    in_channels: weights.shape("encoder.conv_in.weight", 4)[1],
    latent_channels: weights.rows("encoder.conv_out.weight", 4),
    layers_per_block: layers,
    norm_num_groups: NORM_GROUPS,
    num_vq_embeddings: codes?.codeOfToken.length ?? codebookRows(weights),
    out_channels: weights.rows("decoder.conv_out.weight", 4),
    sample_size: 32,
    up_block_types: level.toReversed().map((i) =>
      attends(`decoder.up.${i}`) ? "AttnUpDecoderBlock2D" : "UpDecoderBlock2D"
    ),
    vq_embed_dim: weights.rows("quant_conv.weight", 4),
    ...(isGumbel(weights) && { quantizer_type: "gumbel" }),
    ...(codes && { token_of_code: [...codes.tokenOfCode] }),
  };
}

/** Number of codes that the autoencoder was trained with. */
export function codebookRows(weights: StateDict): number {
  return weights.rows(codebookName(weights), 2);
}

/** Names in diffusers' `VQModel`, but for the levels of the decoder. */
const RULES: readonly NameRule[] = [
  [/\.down\.(\d+)\./, ".down_blocks.$1."],
  [/\.block\.(\d+)\./, ".resnets.$1."],
  [/\.mid\.block_(\d)\./, (number) => `.mid_block.resnets.${Number(number) - 1}.`],
  [/\.nin_shortcut\./, ".conv_shortcut."],
  [/\.mid\.attn_1\./, ".mid_block.attentions.0."],
  [/\.attn\.(\d+)\./, ".attentions.$1."],
  [/(\.attentions\.\d+)\.norm\./, "$1.group_norm."],
  [/(\.attentions\.\d+)\.q\./, "$1.query."],
  [/(\.attentions\.\d+)\.k\./, "$1.key."],
  [/(\.attentions\.\d+)\.v\./, "$1.value."],
  [/(\.attentions\.\d+)\.proj_out\./, "$1.proj_attn."],
  [/\.downsample\.conv\./, ".downsamplers.0.conv."],
  [/\.upsample\.conv\./, ".upsamplers.0.conv."],
  [/\.norm_out\./, ".conv_norm_out."],
];

/** Attention projects with 1×1 convolutions in the original, with matrices in diffusers. */
function asMatrix(array: ConvertedArray): ConvertedArray {
  const [out, input, ...kernel] = array.shape;
  const isProjection = /\.attentions\.\d+\.(query|key|value|proj_attn)\.weight$/.test(array.name);
  if (!isProjection || kernel.some((length) => length !== 1)) return array;
  const shape = [out!, input!];
  return { ...array, shape, load: async () => ({ ...await array.load(), shape }) };
}

function codebookName(weights: StateDict): string {
  return CODEBOOKS.find((name) => weights.has(name)) ?? CODEBOOKS[0]!;
}

function codebook(weights: StateDict, codes: Int32Array | undefined): ConvertedArray {
  const array = weights.array(codebookName(weights), "quantize.embedding.weight");
  if (codes === undefined) return array;
  const [, columns] = weights.shape(codebookName(weights), 2);
  const shape = [codes.length, columns!];
  return { ...array, shape, load: async () => takeRows(await array.load(), codes, shape) };
}

function takeRows(
  array: StoredArray,
  rows: Int32Array,
  shape: readonly number[],
): StoredArray {
  const length = shape[1]! * STORED_DTYPES[array.dtype];
  const bytes = new Uint8Array(rows.length * length);
  rows.forEach((row, i) => {
    bytes.set(array.bytes.subarray(row * length, (row + 1) * length), i * length);
  });
  return { dtype: array.dtype, shape, bytes };
}

/**
 * The codes behind tokens that were numbered anew: Microsoft's models of COCO, CUB-200 and Conceptual
 * Captions use 2887 of 8192 codes, and a file (`taming_vqvae_2887.pt`) gives the token of each code.
 *
 * @param source The file: one array of integers.
 * @param tokens Number of tokens. Default: as many as there are in the file.
 * @throws {TypeError} If the file is no such array.
 * @throws {RangeError} If it does not fit the model.
 */
export async function readCodes(
  source: ArraySource,
  tokens: number | undefined,
  codebookLength: number,
): Promise<TokenCodes> {
  const name = nameOfCodes(source, codebookLength);
  const values = Float64Array.from<number | bigint>(
    typedArray(await source.loadStored(name)),
    Number,
  );
  // There are no more tokens than codes.
  const most = Math.min(values.reduce((a, b) => Math.max(a, b), 0) + 1, codebookLength);
  const count = tokens ?? most;
  if (count > codebookLength) {
    throw new RangeError(
      `Cannot use ${source.description}: it is for ${codebookLength} codes, expected at least ` +
        `${count}, one for each token`,
    );
  }
  const codeOfToken = new Int32Array(count).fill(-1);
  values.forEach((token, code) => {
    if (token < 0 || token >= count) {
      throw new RangeError(
        `Cannot use ${source.description}: it has the token ${token}, expected tokens below ${count}`,
      );
    }
    if (codeOfToken[token] === -1) codeOfToken[token] = code;
  });
  const unused = codeOfToken.indexOf(-1);
  if (unused >= 0) {
    throw new RangeError(`Cannot use ${source.description}: no code stands for token ${unused}`);
  }
  return { codeOfToken, tokenOfCode: Int32Array.from(values) };
}

/** Name of the array of a file of codes, which is checked before memory is taken for it. */
function nameOfCodes(source: ArraySource, codebookLength: number): string {
  const [name = "", ...others] = source.names();
  const shape = source.shape(name) ?? [];
  const isInteger = /^[IU]\d/.test(source.dtype(name) ?? "");
  if (!isInteger || shape.length !== 1 || others.length > 0) {
    throw new TypeError(`Cannot use ${source.description}: expected one list of tokens`);
  }
  const [length = 0] = shape;
  if (length !== codebookLength) {
    throw new RangeError(
      `Cannot use ${source.description}: it is for ${length} codes, the autoencoder has ` +
        `${codebookLength}`,
    );
  }
  if (length <= MOST_CODES) return name;
  throw new RangeError(
    `Cannot use ${source.description}: it is for ${length} codes, expected at most ${MOST_CODES}`,
  );
}
