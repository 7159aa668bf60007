/**
 * The transformer of an original checkpoint (`Text2ImageTransformer` in Microsoft's code).
 *
 * @module
 */

import { type ConvertedArray, type NameRule, renamed, type StateDict } from "./state_dict.ts";

/** Names in diffusers' `Transformer2DModel`. */
const RULES: readonly NameRule[] = [
  [/^content_emb\./, "latent_image_embedding."],
  [/^blocks\./, "transformer_blocks."],
  [/\.ln1\./, ".norm1."],
  [/\.ln1_1\./, ".norm2."],
  [/\.ln2\./, ".norm3."],
  [/\.(attn\d)\.query\./, ".$1.to_q."],
  [/\.(attn\d)\.key\./, ".$1.to_k."],
  [/\.(attn\d)\.value\./, ".$1.to_v."],
  [/\.(attn\d)\.proj\./, ".$1.to_out.0."],
  [/\.mlp\.0\./, ".ff.net.0.proj."],
  [/\.mlp\.2\./, ".ff.net.2."],
  [/^to_logits\.0\./, "norm_out."],
  [/^to_logits\.1\./, "out."],
];

/** A causal mask that the cross attention carries and does not use. */
const MASK = /\.attn2\.mask$/;

/** What the sizes of arrays leave open, and the config of a training may say. */
export interface TransformerFacts {
  /** Number of attention heads. Default: 16, as in all public configs. */
  readonly heads?: number | undefined;
}

/**
 * The arrays by the names of diffusers. What no rule knows keeps its name, so that the model refuses it.
 *
 * @param weights The module `transformer.transformer` of the checkpoint.
 */
export function transformerArrays(weights: StateDict): ConvertedArray[] {
  return weights.names()
    .filter((name) => !MASK.test(name))
    .map((name) => weights.array(name, renamed(name, RULES)));
}

/**
 * The config in the form of diffusers, which follows from the shapes but for the heads.
 *
 * @throws {TypeError} If an array is missing, the transformer is not one of text to image, or the
 *   number of heads does not fit.
 */
export function transformerConfig(
  weights: StateDict,
  { heads = 16 }: TransformerFacts,
): Record<string, unknown> {
  refuseOtherTransformers(weights);
  const [classes, columns] = weights.shape("content_emb.emb.weight", 2) as [number, number];
  const side = weights.rows("content_emb.height_emb.weight", 2);
  const width = weights.rows("content_emb.width_emb.weight", 2);
  const { description } = weights;
  if (width !== side) {
    throw new TypeError(`Cannot convert ${description}: its images of tokens are no squares`);
  }
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
    cross_attention_dim: weights.shape("blocks.0.attn2.key.weight", 2)[1],
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
  };
}

/** Blocks with one attention, `attn`, look at no text: those of ImageNet and FFHQ. */
function refuseOtherTransformers(weights: StateDict): void {
  if (!weights.has("blocks.0.attn.query.weight")) return;
  const kind = weights.has("blocks.0.ln2.emb.weight")
    ? "class-conditional, as for ImageNet"
    : "unconditional, as for FFHQ";
  throw new TypeError(
    `Cannot convert ${weights.description}: the model is ${kind}, and only text-to-image models ` +
      `have a counterpart in diffusers`,
  );
}
