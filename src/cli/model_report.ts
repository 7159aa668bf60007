/**
 * What a model consists of, found out without loading its weights.
 *
 * @module
 */

import { STORED_DTYPES, WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { elementCount } from "../base/shapes.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import type { Model } from "../models/model.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import { VQModel } from "../models/vq_model.ts";
import { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";

/** How much of what there is in a file. */
export interface StoredReport {
  /** Number of values; of a model, those that it uses. */
  readonly parameters: number;
  /** Element types of the arrays, by the names of safetensors. */
  readonly dtypes: readonly string[];
  /** Bytes of all arrays on disk. */
  readonly bytes: number;
}

/** A model with weights. */
export interface ComponentReport extends StoredReport {
  /** Name in the folder, such as `transformer`. */
  readonly name: string;
  /** Its class in diffusers or transformers. */
  readonly className: string;
  /** Bytes of memory for each way to hold the weights. */
  readonly memory: Readonly<Record<WeightDType, number>>;
}

/** A pipeline, a component or a file. */
export interface ModelReport {
  /** Path or URL. */
  readonly model: string;
  /** What it is, such as `VQDiffusionPipeline`. */
  readonly kind: string;
  /** Components with weights. */
  readonly components: readonly ComponentReport[];
  /** What is in a file that is no model, by the first part of the names of its arrays. */
  readonly groups: Readonly<Record<string, StoredReport>>;
  /** Facts by name, such as `image size`. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Models by the class that a config names. */
const MODELS = {
  Transformer2DModel,
  VQModel,
  CLIPTextModel,
  LearnedClassifierFreeSamplingEmbeddings,
};

/** Folders of the components with weights, with their classes. */
const COMPONENTS: Readonly<Record<string, keyof typeof MODELS>> = {
  transformer: "Transformer2DModel",
  vqvae: "VQModel",
  text_encoder: "CLIPTextModel",
  learned_classifier_free_sampling_embeddings: "LearnedClassifierFreeSamplingEmbeddings",
};

/**
 * Describes the folder of a pipeline or of one of its components.
 *
 * @param backend Where the models would compute; nothing is loaded.
 * @throws {MissingFileError} If a file is not there.
 * @throws {TypeError} If the folder is that of something else, or a part of it does not fit.
 */
export async function reportFolder(folder: ModelFolder, backend: Backend): Promise<ModelReport> {
  const { description: model } = folder;
  if (await folder.has("model_index.json")) return await reportPipeline(folder, backend);
  const { values } = await readConfig(folder, "config.json");
  const className = values["model_type"] === "clip_text_model"
    ? "CLIPTextModel"
    : String(values["_class_name"]);
  if (!isModel(className)) {
    throw new TypeError(
      `Cannot inspect ${model}: its config is that of ${className}, expected ${
        Object.keys(MODELS).join(" or ")
      }`,
    );
  }
  const name = model.replace(/\/+$/, "").split("/").at(-1) ?? "";
  await using component = await open(folder, className, backend);
  const components = [reportComponent(name, className, component)];
  return { model, kind: className, components, groups: {}, facts: factsOf(component) };
}

async function reportPipeline(folder: ModelFolder, backend: Backend): Promise<ModelReport> {
  const { values } = await readConfig(folder, "model_index.json");
  const components: ComponentReport[] = [];
  const facts: Record<string, string> = {};
  let side = 0;
  for (const [name, className] of Object.entries(COMPONENTS)) {
    if (values[name] === undefined) {
      facts[name] = "missing, so that the pipeline cannot be loaded";
      continue;
    }
    await using component = await open(folder.folder(name), className, backend);
    components.push(reportComponent(name, className, component));
    Object.assign(facts, factsOf(component));
    if (component instanceof Transformer2DModel) side = component.config.sampleSize;
    if (component instanceof VQModel) {
      side *= component.scaleFactor;
      facts["image size"] = `${side} × ${side} pixels`;
    }
  }
  const { config } = await VQDiffusionScheduler.fromPretrained(folder.folder("scheduler"));
  facts["timesteps"] = String(config.numTrainTimesteps);
  if (await hasTokenizer(folder)) {
    const tokenizer = await CLIPTokenizer.fromPretrained(folder.folder("tokenizer"));
    const pad = JSON.stringify(tokenizer.decode([tokenizer.padTokenId]));
    facts["prompt length"] = `${tokenizer.modelMaxLength} tokens, padded with ${pad}`;
  }
  const kind = String(values["_class_name"]);
  return { model: folder.description, kind, components, groups: {}, facts };
}

/** An original checkpoint has none, and can be inspected all the same. */
async function hasTokenizer(folder: ModelFolder): Promise<boolean> {
  try {
    return await folder.has("tokenizer/vocab.json") ||
      await folder.has("tokenizer/tokenizer.json");
  } catch {
    return false;
  }
}

/** Describes a file of arrays. */
export function reportFile(source: ArraySource): ModelReport {
  const groups: Record<string, string[]> = {};
  for (const name of source.names()) {
    const [first, ...rest] = name.split(".");
    (groups[rest.length > 0 ? first! : ""] ??= []).push(name);
  }
  return {
    model: source.description,
    kind: "file of arrays",
    components: [],
    groups: Object.fromEntries(
      Object.entries(groups).map(([group, names]) => [group, reportArrays(source, names)]),
    ),
    facts: { arrays: String(source.names().length) },
  };
}

function isModel(name: string): name is keyof typeof MODELS {
  return Object.hasOwn(MODELS, name);
}

function open(
  folder: ModelFolder,
  className: keyof typeof MODELS,
  backend: Backend,
): Promise<Model> {
  return MODELS[className].fromPretrained(folder, { backend, load: false });
}

function reportComponent(name: string, className: string, model: Model): ComponentReport {
  const { checkpoint } = model;
  const memory = WEIGHT_DTYPES.map((dtype) => [dtype, model.memoryBytes(dtype)] as const);
  return {
    ...reportArrays(checkpoint, checkpoint.names()),
    name,
    className,
    parameters: model.parameters,
    memory: Object.fromEntries(memory) as Record<WeightDType, number>,
  };
}

function reportArrays(source: ArraySource, names: readonly string[]): StoredReport {
  const dtypes = new Set<string>();
  let [parameters, bytes] = [0, 0];
  for (const name of names) {
    const dtype = source.dtype(name);
    const count = elementCount(source.shape(name)!);
    dtypes.add(dtype ?? source.unreadable?.(name)?.replace(/^it is /, "") ?? "unknown");
    parameters += count;
    // How long others are is not known.
    if (dtype !== undefined) bytes += count * STORED_DTYPES[dtype];
  }
  return { parameters, dtypes: [...dtypes].toSorted(), bytes };
}

function factsOf(model: Model): Record<string, string> {
  if (model instanceof Transformer2DModel) {
    const { sampleSize: side, numVectorEmbeds, numLayers, numAttentionHeads, attentionHeadDim } =
      model.config;
    return {
      "tokens": `${side ** 2} of ${side} × ${side}, ${numVectorEmbeds - 1} codes and the mask`,
      "transformer": `${numLayers} layers of ${numAttentionHeads} × ${attentionHeadDim} columns`,
    };
  }
  if (model instanceof LearnedClassifierFreeSamplingEmbeddings) {
    return { "embeddings for no prompt": model.learnable ? "learned" : "those of an empty prompt" };
  }
  return {};
}
