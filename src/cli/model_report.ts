/**
 * What a model consists of, found out without loading its weights.
 *
 * @module
 */

import { describeName, describeValue } from "../base/check.ts";
import { STORED_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { elementCount } from "../base/shapes.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import { COMPONENTS } from "../checkpoints/component_classes.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import type { Model } from "../models/model.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import { VQModel } from "../models/vq_model.ts";
import { componentNamesOf, type LoadedComponents } from "../pipeline/components.ts";
import { parseGenerationConfig, readGenerationConfig } from "../pipeline/generation_config.ts";
import { GENERATION_PARAMETERS, PARAMETER_NAMES } from "../pipeline/generation_parameters.ts";
import { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import { type FirstImageMemory, firstImageMemory, weightsMemory } from "./memory_report.ts";

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
  /** Bytes of a CPU's memory that the weights take, for each way to hold them. */
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
  /** What a pipeline takes for a first image; undefined if there is none, or if it cannot make one. */
  readonly firstImage?: FirstImageMemory | undefined;
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

/** Components with weights, in the order of the report. */
const REPORTED = [
  "transformer",
  "vqvae",
  "textEncoder",
  "learnedClassifierFreeSamplingEmbeddings",
] as const;

/**
 * Describes the folder of a pipeline or of one of its components.
 *
 * @param backend Where the models are declared; nothing is loaded.
 * @throws {MissingFileError} If a file is not there.
 * @throws {TypeError} If the folder is that of something else, or a part of it does not fit.
 */
export async function reportFolder(folder: ModelFolder, backend: Backend): Promise<ModelReport> {
  const { description: model } = folder;
  if (await folder.has("model_index.json")) return await reportPipeline(folder, backend);
  const { values } = await readConfig(folder, "config.json");
  const className = values["model_type"] === "clip_text_model"
    ? "CLIPTextModel"
    : describeName(values["_class_name"]);
  if (!isModel(className)) {
    throw new TypeError(
      `Cannot inspect ${model}: its config is that of ${className}, expected ${
        Object.keys(MODELS).join(" or ")
      }`,
    );
  }
  const name = model.replace(/\/+$/, "").split("/").at(-1) ?? "";
  await using component = await open(folder, className, backend);
  const components = [await reportComponent(name, className, component)];
  return { model, kind: className, components, groups: {}, facts: factsOf(component) };
}

async function reportPipeline(folder: ModelFolder, backend: Backend): Promise<ModelReport> {
  const { values } = await readConfig(folder, "model_index.json");
  await using models = new AsyncDisposableStack();
  const parts: Partial<Record<keyof LoadedComponents, unknown>> = {};
  let expected = componentNamesOf({ conditionType: "text" });
  const components: ComponentReport[] = [];
  const facts: Record<string, string> = {};
  for (const name of REPORTED) {
    if (!expected.includes(name)) continue;
    const { folder: path, className } = COMPONENTS[name];
    if (values[path] === undefined) {
      facts[path] = "missing, so that the pipeline cannot be loaded";
      continue;
    }
    const component = models.use(await open(folder.folder(path), className, backend));
    parts[name] = component;
    components.push(await reportComponent(path, className, component));
    Object.assign(facts, factsOf(component));
    if (component instanceof Transformer2DModel) expected = componentNamesOf(component.config);
  }
  const { transformer, vqvae } = parts;
  if (transformer instanceof Transformer2DModel && vqvae instanceof VQModel) {
    const side = transformer.config.sampleSize * vqvae.scaleFactor;
    facts["image size"] = `${side} × ${side} pixels`;
  }
  const scheduler = await VQDiffusionScheduler.fromPretrained(folder.folder("scheduler"));
  facts["timesteps"] = String(scheduler.config.numTrainTimesteps);
  parts.scheduler = scheduler;
  Object.assign(facts, await defaultsOf(folder, scheduler.config.numTrainTimesteps));
  if (expected.includes("tokenizer")) await reportTokenizer(folder, parts, facts);
  const isComplete = expected.every((name) => parts[name] !== undefined);
  const firstImage = isComplete ? await firstImageOf(parts as LoadedComponents, facts) : undefined;
  const kind = describeName(values["_class_name"]);
  return { model: folder.description, kind, components, groups: {}, firstImage, facts };
}

async function reportTokenizer(
  folder: ModelFolder,
  parts: { tokenizer?: unknown },
  facts: Record<string, string>,
): Promise<void> {
  if (!await hasTokenizer(folder)) {
    facts["tokenizer"] = "missing, so that the memory of a first image cannot be told";
    return;
  }
  const tokenizer = await CLIPTokenizer.fromPretrained(folder.folder("tokenizer"));
  const pad = describeValue(tokenizer.decode([tokenizer.padTokenId]));
  facts["prompt length"] = `${tokenizer.modelMaxLength} tokens, padded with ${pad}`;
  parts.tokenizer = tokenizer;
}

/** What a first image takes; if the components do not fit each other, a fact instead. */
async function firstImageOf(
  components: LoadedComponents,
  facts: Record<string, string>,
): Promise<FirstImageMemory | undefined> {
  try {
    return await firstImageMemory(components);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    facts["first image"] = error.message;
    return undefined;
  }
}

/** How the model wants to be drawn with, if it says so. */
async function defaultsOf(
  folder: ModelFolder,
  numTrainTimesteps: number,
): Promise<Record<string, string>> {
  const config = await readGenerationConfig(folder);
  if (config === undefined) return {};
  const { json: _, ...values } = parseGenerationConfig(config, numTrainTimesteps);
  const texts = PARAMETER_NAMES.filter((name) => Object.hasOwn(values, name))
    .map((name) => {
      const value = values[name as keyof typeof values];
      const text = Array.isArray(value) ? value.map(describeName).join(", ") : String(value);
      return `${GENERATION_PARAMETERS[name].shortName} ${text}`;
    });
  return texts.length > 0 ? { "draws best with": texts.join(", ") } : {};
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
  const groups = new Map<string, string[]>();
  for (const name of source.names()) {
    const group = groupOf(name);
    const names = groups.get(group);
    if (names) names.push(name);
    else groups.set(group, [name]);
  }
  const shown = [...groups].slice(0, MOST_GROUPS);
  const others = [...groups].slice(MOST_GROUPS).flatMap(([, names]) => names);
  if (others.length > 0) shown.push([`(${groups.size - MOST_GROUPS} others)`, others]);
  return {
    model: source.description,
    kind: "file of arrays",
    components: [],
    groups: Object.fromEntries(shown.map(([group, names]) => [group, reportArrays(source, names)])),
    facts: { arrays: String(source.names().length) },
  };
}

/** Most groups of arrays that are listed: a file may have one for each array. */
const MOST_GROUPS = 50;

/** First part of the name of an array, without what could steer a terminal. */
function groupOf(name: string): string {
  const end = name.indexOf(".");
  return end < 0 ? "" : end === 0 ? describeName("") : describeName(name.slice(0, end));
}

function isModel(name: string): name is keyof typeof MODELS {
  return Object.hasOwn(MODELS, name);
}

function open(
  folder: ModelFolder,
  className: string,
  backend: Backend,
): Promise<Model> {
  return MODELS[className as keyof typeof MODELS].fromPretrained(folder, { backend, load: false });
}

async function reportComponent(
  name: string,
  className: string,
  model: Model,
): Promise<ComponentReport> {
  const { checkpoint, parameters } = model;
  const stored = reportArrays(checkpoint, checkpoint.names());
  return { ...stored, name, className, parameters, memory: await weightsMemory(model) };
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

/** What a model draws from, unless that is text. */
function conditionFact({ conditionType, ...config }: Transformer2DConfig): Record<string, string> {
  if (conditionType === "text") return {};
  const { numClassEmbeds, unconditionalClass } = config;
  const none = unconditionalClass === undefined ? "" : `, of which ${unconditionalClass} is none`;
  const classes = `${numClassEmbeds} classes${none}`;
  return { "draws from": conditionType === "class" ? classes : "nothing, it is unconditional" };
}

function factsOf(model: Model): Record<string, string> {
  if (model instanceof Transformer2DModel) {
    const { sampleSize: side, numVectorEmbeds, numLayers, numAttentionHeads, attentionHeadDim } =
      model.config;
    return {
      ...conditionFact(model.config),
      "tokens": `${side ** 2} of ${side} × ${side}, ${numVectorEmbeds - 1} codes and the mask`,
      "transformer": `${numLayers} layers of ${numAttentionHeads} × ${attentionHeadDim} columns`,
    };
  }
  if (model instanceof LearnedClassifierFreeSamplingEmbeddings) {
    return { "embeddings for no prompt": model.learnable ? "learned" : "those of an empty prompt" };
  }
  return {};
}
