/**
 * The components of a pipeline: loading them together, and whether they fit each other.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { OnProgress } from "../files/progress.ts";
import type { ModelFolder } from "../files/source.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import { checkMemory } from "../models/memory_check.ts";
import type { LoadModelOptions, Model } from "../models/model.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import { VQModel } from "../models/vq_model.ts";
import { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";

/** The parts of a pipeline, by the names of diffusers. */
export interface PipelineComponents {
  /** Decodes tokens to images. */
  readonly vqvae: VQModel;
  /** Encodes prompts. */
  readonly textEncoder: CLIPTextModel;
  /** Turns prompts into token ids. */
  readonly tokenizer: CLIPTokenizer;
  /** Predicts the tokens of an image. */
  readonly transformer: Transformer2DModel;
  /** The noise schedules. */
  readonly scheduler: VQDiffusionScheduler;
  /** What stands for no prompt. */
  readonly learnedClassifierFreeSamplingEmbeddings: LearnedClassifierFreeSamplingEmbeddings;
}

/** Folder of each component and the class that `model_index.json` names for it. */
export const COMPONENT_CLASSES = {
  vqvae: "VQModel",
  text_encoder: "CLIPTextModel",
  tokenizer: "CLIPTokenizer",
  transformer: "Transformer2DModel",
  scheduler: "VQDiffusionScheduler",
  learned_classifier_free_sampling_embeddings: "LearnedClassifierFreeSamplingEmbeddings",
} as const;

/** Options of {@linkcode loadComponents}. */
export interface LoadComponentsOptions {
  /**
   * Whether to load the weights. Default true. Without them the components can tell their size and be
   * saved.
   */
  readonly load?: boolean | undefined;
  /** How the weights of linear layers are held. Default: as stored. */
  readonly dtype?: WeightDType | undefined;
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
  /** Is told how loading goes on. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Loads all components of a folder in diffusers' layout.
 *
 * @throws {TypeError} If the folder is not that of a VQ-Diffusion pipeline, or a part lacks or is damaged.
 * @throws {RangeError} If components do not fit each other, or the memory of the device; that is checked
 *   before any is taken.
 */
export async function loadComponents(
  folder: ModelFolder,
  backend: Backend,
  { dtype, signal, load = true }: LoadComponentsOptions = {},
): Promise<PipelineComponents> {
  await checkModelIndex(folder);
  signal?.throwIfAborted();
  const options = { backend, dtype, signal, load: false };
  const models = [
    VQModel.fromPretrained(folder.folder("vqvae"), options),
    CLIPTextModel.fromPretrained(folder.folder("text_encoder"), options),
    Transformer2DModel.fromPretrained(folder.folder("transformer"), options),
    LearnedClassifierFreeSamplingEmbeddings.fromPretrained(
      folder.folder("learned_classifier_free_sampling_embeddings"),
      options,
    ),
  ] as const;
  try {
    const [tokenizer, scheduler, vqvae, textEncoder, transformer, embeddings] = await Promise.all([
      CLIPTokenizer.fromPretrained(folder.folder("tokenizer")),
      VQDiffusionScheduler.fromPretrained(folder.folder("scheduler")),
      ...models,
    ]);
    const components = {
      vqvae,
      textEncoder,
      tokenizer,
      transformer,
      scheduler,
      learnedClassifierFreeSamplingEmbeddings: embeddings,
    };
    checkFit(components);
    if (load) await loadWeights(folder.description, components, { dtype, signal });
    return components;
  } catch (error) {
    for (const model of await Promise.allSettled<AsyncDisposable>(models)) {
      if (model.status === "fulfilled") await model.value[Symbol.asyncDispose]();
    }
    throw error;
  }
}

/** The components that have weights. */
export function modelsOf(components: PipelineComponents): Model[] {
  const { vqvae, textEncoder, transformer, learnedClassifierFreeSamplingEmbeddings } = components;
  return [vqvae, textEncoder, transformer, learnedClassifierFreeSamplingEmbeddings];
}

/** Frees the components' memory and closes their files. */
export async function disposeComponents(components: PipelineComponents): Promise<void> {
  await Promise.all(modelsOf(components).map((model) => model.dispose()));
}

async function loadWeights(
  description: string,
  components: PipelineComponents,
  options: LoadModelOptions,
): Promise<void> {
  const models = modelsOf(components);
  const { backend } = components.transformer;
  checkMemory(description, backend, options.dtype, (dtype) => {
    return models.reduce((sum, model) => sum + model.memoryBytes(dtype), 0);
  });
  // One after the other, so that never more than one array is on its way.
  for (const model of models) await model.load(options);
}

async function checkModelIndex(folder: ModelFolder): Promise<void> {
  const { values, description } = await readConfig(folder, "model_index.json");
  const found = values["_class_name"];
  if (found !== "VQDiffusionPipeline") {
    throw new TypeError(
      `Cannot load ${description}: it describes a ${found}, expected a VQDiffusionPipeline`,
    );
  }
  for (const [component, expected] of Object.entries(COMPONENT_CLASSES)) {
    const entry = values[component];
    const name = Array.isArray(entry) ? entry[1] : undefined;
    // The fast tokenizer has the same files.
    if (typeof name === "string" && name.replace(/Fast$/, "") === expected) continue;
    if (entry === undefined) throw new TypeError(lacks(folder.description, component));
    throw new TypeError(
      `Cannot load ${description}: ${component} is ${
        JSON.stringify(entry)
      }, expected a ${expected}`,
    );
  }
}

function lacks(description: string, component: string): string {
  const hint = component === "learned_classifier_free_sampling_embeddings"
    ? `; the revision "fp16" of microsoft/vq-diffusion-ithq lacks them: load "main" with dtype "fp16"`
    : "";
  return `Cannot load ${description}: model_index.json names no ${component}${hint}`;
}

/** Checks the sizes that components share. */
function checkFit(components: PipelineComponents): void {
  const { vqvae, textEncoder, tokenizer, transformer, scheduler } = components;
  const learned = components.learnedClassifierFreeSamplingEmbeddings.config;
  const classes = transformer.config.numVectorEmbeds;
  const width = textEncoder.config.hiddenSize;
  const facts: [string, number, string, number][] = [
    [
      "the transformer's num_vector_embeds",
      classes,
      "the scheduler's num_vec_classes",
      scheduler.config.numVecClasses,
    ],
    [
      "the transformer's num_vector_embeds",
      classes,
      "the VQ model's num_vq_embeddings and a mask",
      vqvae.config.numVqEmbeddings + 1,
    ],
    [
      "the transformer's cross_attention_dim",
      transformer.config.crossAttentionDim,
      "the text encoder's hidden_size",
      width,
    ],
  ];
  if (learned.learnable) {
    facts.push(
      ["the learned embeddings' hidden_size", learned.hiddenSize!, "the text encoder's", width],
      [
        "the learned embeddings' length",
        learned.length!,
        "the tokenizer's model_max_length",
        tokenizer.modelMaxLength,
      ],
    );
  }
  for (const [first, value, second, other] of facts) {
    if (value === other) continue;
    throw new RangeError(`Components do not fit: ${first} is ${value}, but ${second} is ${other}`);
  }
  const { maxPositionEmbeddings } = textEncoder.config;
  if (tokenizer.modelMaxLength > maxPositionEmbeddings) {
    throw new RangeError(
      `Components do not fit: the tokenizer gives up to ${tokenizer.modelMaxLength} tokens, the text ` +
        `encoder takes ${maxPositionEmbeddings}`,
    );
  }
  const lastId = Math.max(
    tokenizer.vocabSize - 1,
    tokenizer.bosTokenId,
    tokenizer.eosTokenId,
    tokenizer.padTokenId,
  );
  if (lastId >= textEncoder.config.vocabSize) {
    throw new RangeError(
      `Components do not fit: the tokenizer gives ids up to ${lastId}, the text encoder knows ` +
        `${textEncoder.config.vocabSize} tokens`,
    );
  }
  if (vqvae.config.outChannels !== 3) {
    throw new RangeError(
      `Components do not fit: the VQ model gives images of ${vqvae.config.outChannels} channels, ` +
        "expected 3",
    );
  }
  const { numEmbedsAdaNorm } = transformer.config;
  if (scheduler.config.numTrainTimesteps > numEmbedsAdaNorm) {
    throw new RangeError(
      `Components do not fit: the scheduler has ${scheduler.config.numTrainTimesteps} timesteps, the ` +
        `transformer knows ${numEmbedsAdaNorm}`,
    );
  }
}
