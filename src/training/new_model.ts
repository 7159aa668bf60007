/**
 * Models that have learned nothing yet.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { checkInteger, checkOptions, refuseRange } from "../base/check.ts";
import type { Config } from "../checkpoints/config.ts";
import { modelIndex } from "../checkpoints/model_index.ts";
import { openSafetensors } from "../checkpoints/safetensors.ts";
import { encodeSafetensors } from "../checkpoints/safetensors_writer.ts";
import { memoryFile, memoryFolder } from "../files/memory_folder.ts";
import type { ModelFolder } from "../files/source.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import type { ModelClass } from "../models/load_model.ts";
import type { Model, ModelConfig } from "../models/model.ts";
import type { ParameterScope } from "../models/parameters.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import { VQModel } from "../models/vq_model.ts";
import type { Seed } from "../random/seed.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import { trainTokenizer } from "../tokenizers/train_tokenizer.ts";
import { normal, randomWeights } from "./random_weights.ts";

/** Sizes of a {@linkcode newModel}. The defaults are those of the embedded model, but for fewer codes. */
export interface NewModelOptions {
  /** Side of the pictures in pixels, a multiple of 8. Default 64. */
  readonly imageSize?: number | undefined;
  /** Codes that pictures consist of, one for each 8 × 8 pixels. Default 256. */
  readonly codes?: number | undefined;
  /** Blocks of the transformer. Default 6. */
  readonly layers?: number | undefined;
  /** The most tokens that captions consist of. Default 2048. */
  readonly vocabSize?: number | undefined;
}

/** The options with their defaults. */
export type NewModelSettings = {
  readonly [K in keyof NewModelOptions]-?: NonNullable<NewModelOptions[K]>;
};

/** Pixels of a side that a token stands for: three levels of the autoencoder halve it. */
const SCALE = 8;

/** Columns of embeddings of captions, and their number. */
const [TEXT_WIDTH, TEXT_LENGTH] = [192, 32];

/**
 * Makes a pipeline in the layout of diffusers with random weights, and a tokenizer for captions.
 *
 * @param backend Nothing is computed on it.
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 */
export async function newModel(
  backend: Backend,
  captions: Iterable<string>,
  settings: NewModelSettings,
  seed: Seed,
): Promise<ModelFolder> {
  const { imageSize, codes, layers, vocabSize } = settings;
  const tokenizer = trainTokenizer(captions, { vocabSize, modelMaxLength: TEXT_LENGTH });
  const generator = new TorchGenerator(seed);
  const files: Record<string, string | Uint8Array<ArrayBuffer>> = {};
  for (const [name, text] of Object.entries(tokenizer.files())) files[`tokenizer/${name}`] = text;
  const { vocabSize: tokens, bosTokenId, eosTokenId } = tokenizer;
  const add = async <M extends Model<C>, C extends ModelConfig>(
    folder: string,
    Class: ModelClass<M, C>,
    values: Record<string, unknown>,
  ) => {
    files[`${folder}/config.json`] = jsonText(values);
    const description = `${folder}/config.json`;
    const weights = await modelWeights(backend, Class, { description, values }, generator);
    files[`${folder}/${Class.weightFiles[0]}`] = weights;
  };
  await add("vqvae", VQModel, vqConfig(imageSize, codes));
  await add("text_encoder", CLIPTextModel, textConfig(tokens, bosTokenId, eosTokenId));
  const side = imageSize / SCALE;
  await add("transformer", Transformer2DModel, transformerConfig(side, codes, layers));
  const learned = "learned_classifier_free_sampling_embeddings";
  const embeddings = normal([TEXT_LENGTH, TEXT_WIDTH], 0.05, generator);
  files[`${learned}/config.json`] = jsonText({
    _class_name: "LearnedClassifierFreeSamplingEmbeddings",
    _diffusers_version: "0.9.0",
    learnable: true,
    hidden_size: TEXT_WIDTH,
    length: TEXT_LENGTH,
  });
  const weightsFile = `${learned}/diffusion_pytorch_model.safetensors`;
  files[weightsFile] = encodeSafetensors([["embeddings", embeddings]]);
  files["scheduler/scheduler_config.json"] = jsonText(schedulerConfig(codes));
  files["generation_config.json"] = jsonText(GENERATION);
  files["model_index.json"] = jsonText(modelIndex(true));
  return memoryFolder(files, "a new model");
}

/** Options with their defaults. */
export function newModelSettings(options: NewModelOptions): NewModelSettings {
  const task = "train a new model";
  const { imageSize = 64, codes = 256, layers = 6, vocabSize = 2048 } = options;
  checkOptions(task, options, ["imageSize", "codes", "layers", "vocabSize"]);
  checkInteger({ task, name: "imageSize" }, imageSize, { min: SCALE, max: 1024 });
  if (imageSize % SCALE !== 0) {
    refuseRange({ task, name: "imageSize" }, imageSize, `a multiple of ${SCALE}`);
  }
  checkInteger({ task, name: "codes" }, codes, { min: 2, max: 2 ** 16 });
  checkInteger({ task, name: "layers" }, layers, { min: 1, max: 1000 });
  return { imageSize, codes, layers, vocabSize };
}

/** How models of this kind are best drawn with: in few steps, as the embedded one. */
const GENERATION = { num_inference_steps: 10, guidance_scale: 1, truncation_rate: 0.8 };

function vqConfig(imageSize: number, codes: number) {
  const channels = [32, 32, 64, 128];
  return {
    _class_name: "VQModel",
    _diffusers_version: "0.9.0",
    act_fn: "silu",
    block_out_channels: channels,
    down_block_types: channels.map(() => "DownEncoderBlock2D"),
    up_block_types: channels.map(() => "UpDecoderBlock2D"),
    in_channels: 3,
    out_channels: 3,
    latent_channels: 64,
    layers_per_block: 1,
    norm_num_groups: 32,
    num_vq_embeddings: codes,
    sample_size: imageSize,
    vq_embed_dim: 16,
  };
}

function textConfig(tokens: number, begin: number, end: number) {
  return {
    architectures: ["CLIPTextModel"],
    model_type: "clip_text_model",
    hidden_act: "quick_gelu",
    hidden_size: TEXT_WIDTH,
    intermediate_size: 4 * TEXT_WIDTH,
    layer_norm_eps: 1e-5,
    max_position_embeddings: TEXT_LENGTH,
    num_attention_heads: 4,
    num_hidden_layers: 3,
    vocab_size: tokens,
    bos_token_id: begin,
    eos_token_id: end,
    pad_token_id: end,
  };
}

function transformerConfig(side: number, codes: number, layers: number) {
  return {
    _class_name: "Transformer2DModel",
    _diffusers_version: "0.9.0",
    activation_fn: "geglu-approximate",
    attention_bias: true,
    attention_head_dim: 64,
    cross_attention_dim: TEXT_WIDTH,
    dropout: 0,
    in_channels: null,
    norm_num_groups: 32,
    num_attention_heads: 4,
    num_embeds_ada_norm: 100,
    num_layers: layers,
    num_vector_embeds: codes + 1,
    sample_size: side,
  };
}

function schedulerConfig(codes: number) {
  return {
    _class_name: "VQDiffusionScheduler",
    _diffusers_version: "0.9.0",
    num_vec_classes: codes + 1,
    num_train_timesteps: 100,
    alpha_cum_start: 0.99999,
    alpha_cum_end: 0.000009,
    gamma_cum_start: 0.000009,
    gamma_cum_end: 0.9,
    timestep_spacing: "strided",
  };
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** A file of random weights for a config. */
async function modelWeights<M extends Model<C>, C extends ModelConfig>(
  backend: Backend,
  Class: ModelClass<M, C>,
  config: Config,
  generator: TorchGenerator,
): Promise<Uint8Array<ArrayBuffer>> {
  const checkpoint = await openSafetensors(memoryFile("nothing", encodeSafetensors([])));
  const owned = new AsyncDisposableStack();
  // Made for what it declares.
  const declare = (scope: ParameterScope) => {
    const parsed = Class.parseConfig(config);
    const weightsFile = Class.weightFiles[0]!;
    new Class({ backend, config: parsed, checkpoint, scope, weightsFile, owned });
  };
  return randomWeights(declare, generator);
}
