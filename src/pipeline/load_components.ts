/**
 * Loading the components of a pipeline together.
 *
 * @module
 */

import { describeName, describeValue } from "../base/check.ts";
import type { WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { COMPONENTS } from "../checkpoints/component_classes.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { OnProgress } from "../files/progress.ts";
import type { ModelFolder } from "../files/source.ts";
import { mostWeightBytes } from "../models/memory_check.ts";
import type { MemoryTrial } from "../models/memory_trial.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import { Model } from "../models/model.ts";
import type { Parameters } from "../models/parameters.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import { VQModel } from "../models/vq_model.ts";
import { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import { checkFit } from "./component_fit.ts";
import {
  COMPONENT_NAMES,
  type ComponentName,
  type LoadedComponents,
  modelsOf,
} from "./components.ts";
import { parseGenerationConfig, readGenerationConfig } from "./generation_config.ts";

/** What keys, values, texts and the scratch memory of threads take at most. */
const WORKSPACE_BYTES = 2 ** 28;

/** Options of {@linkcode loadComponents}. */
export interface LoadComponentsOptions {
  /**
   * Whether to load the weights. Default true. Without them the components know their size and can
   * be saved.
   */
  readonly load?: boolean | undefined;
  /** How the weights of linear layers are held. Default: as stored. */
  readonly dtype?: WeightDType | undefined;
  /** Which of several files of weights to take, such as `"fp16"`. */
  readonly variant?: string | undefined;
  /** Where the parameters of components live that are trained. */
  readonly parameters?: Readonly<Partial<Record<ComponentName, Parameters>>> | undefined;
  /** Receives notices about the files. */
  readonly onProgress?: OnProgress | undefined;
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads all components of a folder in diffusers' layout.
 *
 * @returns Those of text are missing if the model does not draw from text.
 * @throws {TypeError} If the folder is not that of a VQ-Diffusion pipeline, or a part is missing or damaged.
 * @throws {RangeError} If components do not fit each other, or the memory of the device; that is checked
 *   before any is taken.
 */
export async function loadComponents(
  folder: ModelFolder,
  backend: Backend,
  { dtype, variant, parameters = {}, onProgress, signal, load = true }: LoadComponentsOptions = {},
): Promise<LoadedComponents> {
  const absent = await checkModelIndex(folder);
  signal?.throwIfAborted();
  const options = { backend, dtype, variant, onProgress, signal, load: false };
  const subfolder = (name: ComponentName) => folder.folder(COMPONENTS[name].folder);
  const from = (name: ComponentName) =>
    [subfolder(name), { ...options, parameters: parameters[name] }] as const;
  const unlessAbsent = <T>(name: ComponentName, load: () => Promise<T>) =>
    absent.includes(name) ? undefined : load();
  const learned = "learnedClassifierFreeSamplingEmbeddings";
  const models = [
    VQModel.fromPretrained(...from("vqvae")),
    unlessAbsent("textEncoder", () => CLIPTextModel.fromPretrained(...from("textEncoder"))),
    Transformer2DModel.fromPretrained(...from("transformer")),
    unlessAbsent(
      learned,
      () => LearnedClassifierFreeSamplingEmbeddings.fromPretrained(...from(learned)),
    ),
  ] as const;
  try {
    const [config, tokenizer, scheduler, vqvae, textEncoder, transformer, embeddings] =
      await Promise.all([
        readGenerationConfig(folder),
        unlessAbsent("tokenizer", () => CLIPTokenizer.fromPretrained(subfolder("tokenizer"))),
        VQDiffusionScheduler.fromPretrained(subfolder("scheduler")),
        ...models,
      ]);
    const { numTrainTimesteps } = scheduler.config;
    checkAbsence(folder, absent, transformer.config);
    const components = {
      vqvae,
      ...(textEncoder && { textEncoder }),
      ...(tokenizer && { tokenizer }),
      transformer,
      scheduler,
      ...(embeddings && { learnedClassifierFreeSamplingEmbeddings: embeddings }),
      ...(config && { generationConfig: parseGenerationConfig(config, numTrainTimesteps) }),
    };
    checkFit(components);
    if (load) {
      const trial = firstImageTrial(components);
      await Model.loadAll(folder.description, modelsOf(components), { dtype, signal }, trial);
    }
    return components;
  } catch (error) {
    for (const model of await Promise.allSettled<AsyncDisposable | undefined>(models)) {
      if (model.status === "fulfilled") await model.value?.[Symbol.asyncDispose]();
    }
    throw error;
  }
}

/** Loading components and making a first image, to see whether that fits in the memory of a device. */
export function firstImageTrial(components: LoadedComponents): MemoryTrial {
  return {
    what: "its weights and a first image",
    mostBytes: mostWeightBytes(modelsOf(components)) + mostWorkspaceBytes(components),
    run: async (backend, dtype) => {
      const { makeFirstImage } = await import("./first_image.ts");
      await makeFirstImage(components, backend, dtype);
    },
  };
}

/** Bytes that an image takes at most while it is made: some arrays as large as the largest of all. */
function mostWorkspaceBytes({ transformer, vqvae }: LoadedComponents): number {
  const { sampleSize, numAttentionHeads, attentionHeadDim, numVectorEmbeds } = transformer.config;
  const tokens = sampleSize ** 2;
  const pixels = tokens * vqvae.scaleFactor ** 2;
  const channels = Math.max(...vqvae.config.blockOutChannels);
  const columns = 8 * numAttentionHeads * attentionHeadDim + numVectorEmbeds;
  return 8 * 4 * (pixels * channels + 2 * tokens * columns) + WORKSPACE_BYTES;
}

/** Classes of transformers whose files hold what is needed of another class. */
const SAME_FILES: Readonly<Record<string, string>> = {
  CLIPTokenizerFast: "CLIPTokenizer",
  PreTrainedTokenizerFast: "CLIPTokenizer",
  TokenizersBackend: "CLIPTokenizer",
  CLIPTextModelWithProjection: "CLIPTextModel",
  CLIPModel: "CLIPTextModel",
};

/**
 * Checks what components a folder says it has.
 *
 * @returns Names of those that it says it does not have, as diffusers says that: with nulls.
 */
async function checkModelIndex(folder: ModelFolder): Promise<ComponentName[]> {
  const { values, description } = await readConfig(folder, "model_index.json");
  const found = values["_class_name"];
  if (found !== "VQDiffusionPipeline") {
    throw new TypeError(
      `Cannot load ${description}: _class_name is ${
        found === undefined ? "missing" : describeName(found)
      }, expected VQDiffusionPipeline`,
    );
  }
  const absent: ComponentName[] = [];
  for (const component of COMPONENT_NAMES) {
    const { folder: name, className, isForText } = COMPONENTS[component];
    const entry = values[name];
    if (isForText && Array.isArray(entry) && entry.length > 0 && entry.every((e) => e === null)) {
      absent.push(component);
      continue;
    }
    const found = Array.isArray(entry) ? entry[1] : undefined;
    if (typeof found === "string" && (SAME_FILES[found] ?? found) === className) continue;
    if (entry === undefined) throw new TypeError(missing(folder.description, name));
    throw new TypeError(
      `Cannot load ${description}: ${name} is ${describeValue(entry)}, expected a ${className}`,
    );
  }
  return absent;
}

/** Checks that a model that draws from text has all that this takes. */
function checkAbsence(
  { description }: ModelFolder,
  absent: readonly ComponentName[],
  { conditionType }: Transformer2DConfig,
): void {
  const [missing] = absent;
  if (conditionType !== "text" || missing === undefined) return;
  const { folder, className } = COMPONENTS[missing];
  throw new TypeError(
    `Cannot load ${description}: ${folder} is null in model_index.json, expected a ${className}, as ` +
      "the transformer draws from text",
  );
}

function missing(description: string, component: string): string {
  const hint = component === "learned_classifier_free_sampling_embeddings"
    ? `; the revision "fp16" of microsoft/vq-diffusion-ithq lacks them: load "main" with dtype "fp16"`
    : "";
  return `Cannot load ${description}: model_index.json names no ${component}${hint}`;
}
