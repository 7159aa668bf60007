/**
 * A small model as a checkpoint of Microsoft's and as a folder of diffusers.
 *
 * @module
 */

import { type StoredArray, typedArray } from "../../src/checkpoints/arrays.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import {
  codebookShape,
  filled,
  prefixed,
  randomArray,
  SMALL,
  textEncoderArrays,
  transformerArrays,
  VQ_CHANNELS,
  vqArrays,
} from "./original_models.ts";

type Arrays = Record<string, StoredArray>;
type Component =
  | "transformer"
  | "text_encoder"
  | "vqvae"
  | "learned_classifier_free_sampling_embeddings";

/** Folder with the vocabulary of the small model. */
export const TOKENIZER = new URL("../fixtures/pipeline/tiny/model/tokenizer/", import.meta.url);

/** A small model with random weights. */
export interface OriginalModel {
  /** What a checkpoint of the whole model holds. */
  readonly checkpoint: Arrays;
  /** What a checkpoint of the image autoencoder holds. */
  readonly vqvae: Arrays;
  /** The arrays of each component in diffusers. */
  readonly expected: Readonly<Record<Component, Arrays>>;
  /** The configs in diffusers, by path. */
  readonly configs: Readonly<Record<string, unknown>>;
}

/** Makes a model. */
export function originalModel(seed = 0, codes: number = SMALL.tokens): OriginalModel {
  const generator = new TorchGenerator(seed);
  const transformer = filled(transformerArrays(SMALL), generator);
  const text = filled(textEncoderArrays(SMALL), generator, "F16");
  const { original: inProjections, expected: projections } = splitProjections(generator);
  const vq = filled(vqArrays(), generator);
  const codebook = randomArray(generator, codebookShape(codes));
  const learned = randomArray(generator, [SMALL.length, SMALL.textColumns], "F64");
  const { encoderNames, decoderNames } = halves(vq.original);
  // Buffers that take no part: masks, the schedule, the average that the codebook follows.
  const mask = randomArray(generator, [1, 1, 16, 16]);
  return {
    checkpoint: {
      ...prefixed("content_codec.enc.", encoderNames),
      "content_codec.enc.quantize.embedding": codebook,
      "content_codec.enc.quantize.cluster_size": randomArray(generator, [codes]),
      ...prefixed("content_codec.dec.", decoderNames),
      "content_codec.dec.quantize.embedding": codebook,
      "transformer.empty_text_embed": learned,
      "transformer.log_at": randomArray(generator, [SMALL.timesteps]),
      ...prefixed("transformer.condition_emb.", { ...text.original, ...inProjections }),
      "transformer.condition_emb.text_projection": randomArray(generator, [64, 64], "F16"),
      ...prefixed("transformer.transformer.", transformer.original),
      "transformer.transformer.blocks.0.attn2.mask": mask,
    },
    vqvae: { ...vq.original, "quantize.embedding": codebook },
    expected: {
      transformer: transformer.expected,
      text_encoder: { ...text.expected, ...projections },
      vqvae: { ...vq.expected, "quantize.embedding.weight": codebook },
      learned_classifier_free_sampling_embeddings: { embeddings: narrow(learned) },
    },
    configs: configs(codes),
  };
}

/** The model as a folder in the layout of diffusers. */
export async function modelFiles(model: OriginalModel): Promise<ModelFolder> {
  const files: Record<string, Uint8Array<ArrayBuffer> | string> = {};
  for (const [path, config] of Object.entries(model.configs)) files[path] = JSON.stringify(config);
  for (const [component, arrays] of Object.entries(model.expected)) {
    const name = component === "text_encoder" ? "model" : "diffusion_pytorch_model";
    files[`${component}/${name}.safetensors`] = encodeSafetensors(Object.entries(arrays));
  }
  for (const name of ["vocab.json", "merges.txt"]) {
    files[`tokenizer/${name}`] = await Deno.readTextFile(new URL(name, TOKENIZER));
  }
  files["tokenizer/tokenizer_config.json"] = JSON.stringify({
    bos_token: "<|startoftext|>",
    eos_token: "<|endoftext|>",
    unk_token: "<|endoftext|>",
    pad_token: "!",
    model_max_length: SMALL.length,
  });
  return memoryFolder(files);
}

/** PyTorch's attention joins queries, keys and values; transformers' has them apart. */
function splitProjections(generator: TorchGenerator): { original: Arrays; expected: Arrays } {
  const { textColumns: c, textLayers } = SMALL;
  const original: Arrays = {};
  const expected: Arrays = {};
  for (let i = 0; i < textLayers; i++) {
    for (const [kind, rest] of [["weight", [c]], ["bias", []]] as const) {
      const joined = randomArray(generator, [3 * c, ...rest], "F16");
      original[`transformer.resblocks.${i}.attn.in_proj_${kind}`] = joined;
      const size = joined.bytes.length / 3;
      ["q_proj", "k_proj", "v_proj"].forEach((part, j) => {
        expected[`text_model.encoder.layers.${i}.self_attn.${part}.${kind}`] = {
          dtype: "F16",
          shape: [c, ...rest],
          bytes: joined.bytes.slice(j * size, (j + 1) * size),
        };
      });
    }
  }
  return { original, expected };
}

/** What Microsoft's codec keeps under `enc` and under `dec`. */
function halves(arrays: Arrays): { encoderNames: Arrays; decoderNames: Arrays } {
  const isEncoder = (name: string) => /^(encoder|quant_conv)\./.test(name);
  const entries = Object.entries(arrays);
  return {
    encoderNames: Object.fromEntries(entries.filter(([name]) => isEncoder(name))),
    decoderNames: Object.fromEntries(entries.filter(([name]) => !isEncoder(name))),
  };
}

function narrow(array: StoredArray): StoredArray {
  const values = Float32Array.from(typedArray(array) as Float64Array);
  return { dtype: "F32", shape: array.shape, bytes: new Uint8Array(values.buffer) };
}

/** The configs that the conversion script of diffusers would write. */
function configs(codes: number): Record<string, unknown> {
  const { layers, columns, side, tokens, timesteps, textColumns, textLayers } = SMALL;
  const version = { _diffusers_version: "0.9.0" };
  return {
    "model_index.json": {
      _class_name: "VQDiffusionPipeline",
      ...version,
      learned_classifier_free_sampling_embeddings: [
        "vq_diffusion",
        "LearnedClassifierFreeSamplingEmbeddings",
      ],
      scheduler: ["diffusers", "VQDiffusionScheduler"],
      text_encoder: ["transformers", "CLIPTextModel"],
      tokenizer: ["transformers", "CLIPTokenizer"],
      transformer: ["diffusers", "Transformer2DModel"],
      vqvae: ["diffusers", "VQModel"],
    },
    "transformer/config.json": {
      _class_name: "Transformer2DModel",
      ...version,
      activation_fn: "geglu-approximate",
      attention_bias: true,
      attention_head_dim: columns / 16,
      cross_attention_dim: textColumns,
      dropout: 0,
      in_channels: null,
      norm_num_groups: 32,
      num_attention_heads: 16,
      num_embeds_ada_norm: timesteps,
      num_layers: layers,
      num_vector_embeds: tokens + 1,
      only_cross_attention: false,
      sample_size: side,
      use_linear_projection: false,
    },
    "vqvae/config.json": {
      _class_name: "VQModel",
      ...version,
      act_fn: "silu",
      block_out_channels: VQ_CHANNELS,
      down_block_types: ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
      in_channels: 3,
      latent_channels: 8,
      layers_per_block: 1,
      norm_num_groups: 32,
      num_vq_embeddings: codes,
      out_channels: 3,
      sample_size: 32,
      up_block_types: ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
      vq_embed_dim: 6,
    },
    "text_encoder/config.json": {
      architectures: ["CLIPTextModel"],
      attention_dropout: 0,
      dropout: 0,
      hidden_act: "quick_gelu",
      hidden_size: textColumns,
      initializer_factor: 1,
      initializer_range: 0.02,
      intermediate_size: 4 * textColumns,
      layer_norm_eps: 1e-5,
      max_position_embeddings: SMALL.length,
      model_type: "clip_text_model",
      num_attention_heads: 1,
      num_hidden_layers: textLayers,
      vocab_size: SMALL.vocabulary,
    },
    "learned_classifier_free_sampling_embeddings/config.json": {
      _class_name: "LearnedClassifierFreeSamplingEmbeddings",
      ...version,
      hidden_size: textColumns,
      learnable: true,
      length: SMALL.length,
    },
    "scheduler/scheduler_config.json": {
      _class_name: "VQDiffusionScheduler",
      ...version,
      alpha_cum_end: 0.000009,
      alpha_cum_start: 0.99999,
      gamma_cum_end: 0.99999,
      gamma_cum_start: 0.000009,
      num_train_timesteps: timesteps,
      num_vec_classes: tokens + 1,
    },
  };
}
