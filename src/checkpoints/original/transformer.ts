/**
 * The transformer of an original checkpoint: `Text2ImageTransformer`, `Condition2ImageTransformer` or
 * `UnCondition2ImageTransformer` in Microsoft's code.
 *
 * @module
 */

import { float32Values } from "../../backends/host_arrays.ts";
import { hostArray, type StoredArray } from "../arrays.ts";
import type { OriginalKind } from "./original_config.ts";
import { type ConvertedArray, type NameRule, renamed, type StateDict } from "./state_dict.ts";

/** Names in diffusers' `Transformer2DModel`; of blocks without a context those of the same parts. */
const RULES: readonly NameRule[] = [
  [/\.attn\./, ".attn1."],
  [/^content_emb\./, "latent_image_embedding."],
  [/^blocks\./, "transformer_blocks."],
  [/\.ln1\./, ".norm1."],
  [/\.ln1_1\./, ".norm2."],
  [/\.ln2\./, ".norm3."],
  [/\.(attn\d)\.query\./, ".$1.to_q."],
  [/\.(attn\d)\.key\./, ".$1.to_k."],
  [/\.(attn\d)\.value\./, ".$1.to_v."],
  [/\.(attn\d)\.proj\./, ".$1.to_out.0."],
  [/\.mlp\.(0|conv1)\./, ".ff.net.0.proj."],
  [/\.mlp\.(2|conv2)\./, ".ff.net.2."],
  [/^to_logits\.0\./, "norm_out."],
  [/^to_logits\.1\./, "out."],
];

/** A causal mask that an attention may carry and does not use. */
const MASK = /\.attn2?\.mask$/;

/** The class that stands for no class, in Microsoft's code. */
const NO_CLASS = 1000;

/** What the sizes of arrays leave open, and the config of a training may say. */
export interface TransformerFacts {
  /** Number of attention heads. Default: 16, as in all public configs. */
  readonly heads?: number | undefined;
  /** Tokens of an image. Default: as many as there are positions, if the model draws from text. */
  readonly pixels?: number | undefined;
}

/** What a transformer draws from, by the attention and the norms of its blocks. */
export function transformerKind(weights: StateDict): OriginalKind {
  if (!weights.has("blocks.0.attn.query.weight")) return "text";
  return weights.has(CLASS_ROWS) ? "class" : "none";
}

const CLASS_ROWS = "blocks.0.ln2.emb.weight";

/**
 * The arrays by the names of diffusers. What no rule knows keeps its name, so that the model refuses it.
 * Where no row of a class stands for no class, one is added.
 *
 * @param weights The module `transformer.transformer` of the checkpoint.
 */
export function transformerArrays(weights: StateDict): ConvertedArray[] {
  return weights.names()
    .filter((name) => !MASK.test(name))
    .map((name) => withNoClass(name, weights.array(name, renamed(name, RULES))));
}

/** Microsoft's code takes the mean of all rows for class 1000 if there is no such row. */
function withNoClass(name: string, array: ConvertedArray): ConvertedArray {
  const [rows, columns] = array.shape;
  if (!/\.ln2\.emb\.weight$/.test(name) || array.shape.length !== 2 || rows! > NO_CLASS) {
    return array;
  }
  const shape = [rows! + 1, columns!];
  const load = async () => withMean(await array.load(), name, shape);
  return { name: array.name, dtype: "F32", shape, load };
}

function withMean(array: StoredArray, name: string, shape: readonly number[]): StoredArray {
  const [rows, columns] = [shape[0]! - 1, shape[1]!];
  const values = float32Values(hostArray(array, name));
  const all = new Float32Array((rows + 1) * columns);
  all.set(values);
  for (let column = 0; column < columns; column++) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += values[row * columns + column]!;
    all[rows * columns + column] = sum / rows;
  }
  return { dtype: "F32", shape, bytes: new Uint8Array(all.buffer) };
}

/**
 * The config in the form of diffusers, which follows from the shapes but for the heads and, in models
 * that do not draw from text, the number of tokens.
 *
 * @throws {TypeError} If an array is missing, or the number of heads or tokens does not fit.
 */
export function transformerConfig(
  weights: StateDict,
  { heads = 16, pixels }: TransformerFacts,
): Record<string, unknown> {
  const kind = transformerKind(weights);
  const [classes, columns] = weights.shape("content_emb.emb.weight", 2) as [number, number];
  const { description } = weights;
  const rows = weights.rows("content_emb.height_emb.weight", 2);
  const grid = [rows, weights.rows("content_emb.width_emb.weight", 2)] as const;
  const side = sideOf(pixels, grid, kind, description);
  if (columns % heads !== 0) {
    throw new TypeError(
      `Cannot convert ${description}: ${columns} columns cannot be split among ${heads} heads; ` +
        `give the config that says n_head`,
    );
  }
  return {
    _class_name: "Transformer2DModel",
    _diffusers_version: "0.9.0",
    activation_fn: "geglu-approximate",
    attention_bias: true,
    attention_head_dim: columns / heads,
    ...conditionOf(weights, kind),
    dropout: 0,
    in_channels: null,
    norm_num_groups: 32,
    num_attention_heads: heads,
    num_embeds_ada_norm: weights.rows("blocks.0.ln1.emb.weight", 2),
    num_layers: weights.count("blocks."),
    num_vector_embeds: classes,
    only_cross_attention: false,
    sample_size: side,
    use_linear_projection: false,
    ...(weights.has("blocks.0.mlp.conv1.weight") && { feed_forward_type: "conv" }),
    ...((grid[0] !== side || grid[1] !== side) && { position_grid: grid }),
  };
}

/** Side of the square of tokens. */
function sideOf(
  given: number | undefined,
  [rows, columns]: readonly [rows: number, columns: number],
  kind: OriginalKind,
  description: string,
): number {
  if (given === undefined && kind !== "text") {
    throw new TypeError(
      `Cannot convert ${description}: the model is ${
        kind === "class" ? "class-conditional" : "unconditional"
      }, and only its config, such as config.yaml beside it, says how many tokens an image has`,
    );
  }
  const pixels = given ?? rows * columns;
  const side = Math.sqrt(pixels);
  if (Number.isInteger(side)) return side;
  throw new TypeError(
    `Cannot convert ${description}: it has ${pixels} tokens in an image, expected those of a square`,
  );
}

/** What of the config depends on what is drawn from. */
function conditionOf(weights: StateDict, kind: OriginalKind): Record<string, unknown> {
  switch (kind) {
    case "text":
      return { cross_attention_dim: weights.shape("blocks.0.attn2.key.weight", 2)[1] };
    case "class": {
      const rows = weights.rows(CLASS_ROWS, 2);
      return {
        condition_type: "class",
        cross_attention_dim: null,
        num_class_embeds: rows > NO_CLASS ? rows : rows + 1,
        unconditional_class: Math.min(rows, NO_CLASS),
      };
    }
    case "none":
      return { condition_type: "none", cross_attention_dim: null };
  }
}
