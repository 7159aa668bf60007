/**
 * `model_index.json`: the components of a pipeline and their classes.
 *
 * @module
 */

/** What a component is. */
export interface ComponentClass {
  /** The library where diffusers finds the class. */
  readonly library: string;
  /** Its class in diffusers or transformers. */
  readonly className: string;
  /** Whether only models that draw from text have it. */
  readonly isForText: boolean;
}

/** Folder of a component, which is its name in `model_index.json`. */
export type ComponentFolder =
  | "vqvae"
  | "text_encoder"
  | "tokenizer"
  | "transformer"
  | "scheduler"
  | "learned_classifier_free_sampling_embeddings";

/** The components by their folders, in the order that they are saved in. */
export const COMPONENT_CLASSES: Readonly<Record<ComponentFolder, ComponentClass>> = {
  vqvae: ofAll("diffusers", "VQModel"),
  text_encoder: ofText("transformers", "CLIPTextModel"),
  tokenizer: ofText("transformers", "CLIPTokenizer"),
  transformer: ofAll("diffusers", "Transformer2DModel"),
  scheduler: ofAll("diffusers", "VQDiffusionScheduler"),
  // Not exported by the package itself, but by the module of its pipeline.
  learned_classifier_free_sampling_embeddings: ofText(
    "vq_diffusion",
    "LearnedClassifierFreeSamplingEmbeddings",
  ),
};

function ofAll(library: string, className: string): ComponentClass {
  return { library, className, isForText: false };
}

function ofText(library: string, className: string): ComponentClass {
  return { library, className, isForText: true };
}

/**
 * What `model_index.json` says of a pipeline. A component that it does not have is null, as diffusers writes it.
 *
 * @param drawsFromText Whether it has those for text.
 */
export function modelIndex(drawsFromText: boolean): Record<string, unknown> {
  const entries = Object.entries(COMPONENT_CLASSES).map((
    [folder, { library, className, isForText }],
  ) => [folder, drawsFromText || !isForText ? [library, className] : [null, null]]);
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    ...Object.fromEntries(entries),
  };
}
