/**
 * Loading the components of a pipeline together.
 *
 * @module
 */

import { describeName, describeValue } from "../base/check.ts";
import type { WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { readConfig } from "../checkpoints/config.ts";
import type { ModelFolder } from "../files/source.ts";
import { CLIPTextModel } from "../models/clip_text_model.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import { Model } from "../models/model.ts";
import { Transformer2DModel } from "../models/transformer_2d.ts";
import { VQModel } from "../models/vq_model.ts";
import { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import { checkFit } from "./component_fit.ts";
import { COMPONENTS, modelsOf, type PipelineComponents } from "./components.ts";

/** Options of {@linkcode loadComponents}. */
export interface LoadComponentsOptions {
  /**
   * Whether to load the weights. Default true. Without them the components know their size and can
   * be saved.
   */
  readonly load?: boolean | undefined;
  /** How the weights of linear layers are held. Default: as stored. */
  readonly dtype?: WeightDType | undefined;
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads all components of a folder in diffusers' layout.
 *
 * @throws {TypeError} If the folder is not that of a VQ-Diffusion pipeline, or a part is missing or damaged.
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
  const subfolder = (name: keyof PipelineComponents) => folder.folder(COMPONENTS[name].folder);
  const models = [
    VQModel.fromPretrained(subfolder("vqvae"), options),
    CLIPTextModel.fromPretrained(subfolder("textEncoder"), options),
    Transformer2DModel.fromPretrained(subfolder("transformer"), options),
    LearnedClassifierFreeSamplingEmbeddings.fromPretrained(
      subfolder("learnedClassifierFreeSamplingEmbeddings"),
      options,
    ),
  ] as const;
  try {
    const [tokenizer, scheduler, vqvae, textEncoder, transformer, embeddings] = await Promise.all([
      CLIPTokenizer.fromPretrained(subfolder("tokenizer")),
      VQDiffusionScheduler.fromPretrained(subfolder("scheduler")),
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
    if (load) await Model.loadAll(folder.description, modelsOf(components), { dtype, signal });
    return components;
  } catch (error) {
    for (const model of await Promise.allSettled<AsyncDisposable>(models)) {
      if (model.status === "fulfilled") await model.value[Symbol.asyncDispose]();
    }
    throw error;
  }
}

async function checkModelIndex(folder: ModelFolder): Promise<void> {
  const { values, description } = await readConfig(folder, "model_index.json");
  const found = values["_class_name"];
  if (found !== "VQDiffusionPipeline") {
    throw new TypeError(
      `Cannot load ${description}: it describes a ${
        describeName(found)
      }, expected a VQDiffusionPipeline`,
    );
  }
  for (const { folder: name, className } of Object.values(COMPONENTS)) {
    const entry = values[name];
    const found = Array.isArray(entry) ? entry[1] : undefined;
    // The fast tokenizer has the same files.
    if (typeof found === "string" && found.replace(/Fast$/, "") === className) continue;
    if (entry === undefined) throw new TypeError(missing(folder.description, name));
    throw new TypeError(
      `Cannot load ${description}: ${name} is ${describeValue(entry)}, expected a ${className}`,
    );
  }
}

function missing(description: string, component: string): string {
  const hint = component === "learned_classifier_free_sampling_embeddings"
    ? `; the revision "fp16" of microsoft/vq-diffusion-ithq lacks them: load "main" with dtype "fp16"`
    : "";
  return `Cannot load ${description}: model_index.json names no ${component}${hint}`;
}
