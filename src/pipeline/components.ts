/**
 * The components of a pipeline: which there are, and what they are.
 *
 * @module
 */

import { COMPONENTS } from "../checkpoints/component_classes.ts";
import type { TextComponents } from "../conditioning/text.ts";
import type { CLIPTextModel } from "../models/clip_text_model.ts";
import type { LearnedClassifierFreeSamplingEmbeddings } from "../models/learned_embeddings.ts";
import type { Model } from "../models/model.ts";
import type { Transformer2DModel } from "../models/transformer_2d.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import type { VQModel } from "../models/vq_model.ts";
import type { Scheduler } from "../schedulers/scheduler.ts";
import type { VQDiffusionScheduler } from "../schedulers/vq_diffusion_scheduler.ts";
import type { CLIPTokenizer } from "../tokenizers/clip_tokenizer.ts";
import type { GenerationConfig } from "./generation_config.ts";

/**
 * All components of a pipeline that draws from text, by the names of diffusers. A model that does not is
 * loaded without those for text.
 */
export interface PipelineComponents {
  /** Decodes tokens to images. */
  readonly vqvae: VQModel;
  /** Encodes prompts. */
  readonly textEncoder: CLIPTextModel;
  /** Turns prompts into token ids. */
  readonly tokenizer: CLIPTokenizer;
  /** Predicts the tokens of an image. */
  readonly transformer: Transformer2DModel;
  /** Plans the steps and takes them. */
  readonly scheduler: VQDiffusionScheduler;
  /** What stands for no prompt. */
  readonly learnedClassifierFreeSamplingEmbeddings: LearnedClassifierFreeSamplingEmbeddings;
  /** How the model wants to be drawn with. It lies here to go along where components are passed on. */
  readonly generationConfig?: GenerationConfig | undefined;
}

/** Components that were loaded together: those for text are missing if the model does not draw from it. */
export type LoadedComponents =
  & Omit<PipelineComponents, keyof TextComponents>
  & TextComponents;

/** Name of a component. */
export type ComponentName = Exclude<keyof PipelineComponents, "generationConfig">;

/**
 * What a pipeline can be made of: any scheduler, and as many of the other components as its calls need.
 * A missing one is asked for by name when a call needs it.
 */
export interface PipelineParts extends TextComponents {
  /** Predicts the tokens of an image. */
  readonly transformer: Transformer2DModel;
  /** Plans the steps and takes them. */
  readonly scheduler: Scheduler;
  /** Decodes tokens to images; not needed for tokens. */
  readonly vqvae?: VQModel | undefined;
  /** Defaults of the parameters of generations. Default: those of diffusers. */
  readonly generationConfig?: GenerationConfig | undefined;
}

/** Side of the pictures that components draw, in pixels. */
export function sideOf(
  { transformer, vqvae }: Pick<PipelineComponents, "transformer" | "vqvae">,
): number {
  return transformer.config.sampleSize * vqvae.scaleFactor;
}

/** Who lends components for tasks. */
export interface ComponentUser<C extends PipelineParts = PipelineParts> {
  /** Calls `task` with the components, and again with others if their device is lost. */
  use<T>(task: (components: C) => Promise<T>): Promise<T>;
}

/** Names of the components, in the order that they are saved in. */
export const COMPONENT_NAMES = Object.keys(COMPONENTS) as ComponentName[];

/** Names of the components that a model has. */
export function componentNamesOf(
  { conditionType }: Pick<Transformer2DConfig, "conditionType">,
): ComponentName[] {
  return COMPONENT_NAMES.filter((name) => conditionType === "text" || !COMPONENTS[name].isForText);
}

/** The components that have weights. */
export function modelsOf(components: LoadedComponents): Model[] {
  return COMPONENT_NAMES.filter((name) => COMPONENTS[name].hasWeights)
    .map((name) => components[name] as Model | undefined)
    .filter((model) => model !== undefined);
}

/** Frees the components' memory and closes their files. */
export async function disposeComponents(components: LoadedComponents): Promise<void> {
  await Promise.all(modelsOf(components).map((model) => model.dispose()));
}
