/**
 * The text encoder of an original checkpoint: the text half of OpenAI's CLIP (Radford et al., arXiv
 * 2103.00020), which Microsoft's models carry along.
 *
 * @module
 */

import type { StoredArray } from "../arrays.ts";
import { type ConvertedArray, type NameRule, renamed, type StateDict } from "./state_dict.ts";

/** Columns of one attention head, the same in all of OpenAI's models. */
const HEAD_COLUMNS = 64;

/** Names in transformers' `CLIPTextModel`. */
const RULES: readonly NameRule[] = [
  [/^token_embedding\./, "embeddings.token_embedding."],
  [/^positional_embedding$/, "embeddings.position_embedding.weight"],
  [/^transformer\.resblocks\./, "encoder.layers."],
  [/\.ln_([12])\./, ".layer_norm$1."],
  [/\.attn\./, ".self_attn."],
  [/\.mlp\.c_fc\./, ".mlp.fc1."],
  [/\.mlp\.c_proj\./, ".mlp.fc2."],
  [/^ln_final\./, "final_layer_norm."],
  [/^/, "text_model."],
];

/** Maps to the space that texts share with images, which is not needed. */
const UNUSED = ["text_projection", "logit_scale"];

const PARTS = ["q_proj", "k_proj", "v_proj"];

/**
 * The arrays by the names of transformers.
 *
 * @param weights The module `transformer.condition_emb` of the checkpoint.
 */
export function textEncoderArrays(weights: StateDict): ConvertedArray[] {
  return weights.names()
    .filter((name) => !UNUSED.includes(name))
    .flatMap((name) => split(weights.array(name, renamed(name, RULES))));
}

/**
 * The config in the form of transformers, which follows from the shapes.
 *
 * @throws {TypeError} If an array is missing.
 */
export function textEncoderConfig(weights: StateDict): Record<string, unknown> {
  const [vocabulary, columns] = weights.shape("token_embedding.weight", 2) as [number, number];
  return {
    architectures: ["CLIPTextModel"],
    attention_dropout: 0,
    dropout: 0,
    hidden_act: "quick_gelu",
    hidden_size: columns,
    initializer_factor: 1,
    initializer_range: 0.02,
    intermediate_size: weights.rows("transformer.resblocks.0.mlp.c_fc.weight", 2),
    layer_norm_eps: 1e-5,
    max_position_embeddings: weights.rows("positional_embedding", 2),
    model_type: "clip_text_model",
    num_attention_heads: Math.max(1, Math.floor(columns / HEAD_COLUMNS)),
    num_hidden_layers: weights.count("transformer.resblocks."),
    vocab_size: vocabulary,
  };
}

/** PyTorch's attention joins the projections to queries, keys and values in one array. */
function split(array: ConvertedArray): ConvertedArray[] {
  const match = array.name.match(/^(.*\.self_attn)\.in_proj_(weight|bias)$/);
  if (!match) return [array];
  const [, module, kind] = match;
  const [rows, ...rest] = array.shape;
  const shape = [rows! / PARTS.length, ...rest];
  return PARTS.map((part, i) => ({
    name: `${module}.${part}.${kind}`,
    dtype: array.dtype,
    shape,
    load: async () => takePart(await array.load(), i, shape),
  }));
}

function takePart({ dtype, bytes }: StoredArray, part: number, shape: number[]): StoredArray {
  const length = bytes.length / PARTS.length;
  return { dtype, shape, bytes: bytes.subarray(part * length, (part + 1) * length) };
}
