/**
 * The components of a pipeline, and their classes.
 *
 * @module
 */

/** Where a component lies and what it is. */
export interface ComponentInfo {
  /** Its folder, which is its name in `model_index.json`. */
  readonly folder: string;
  /** Its class in diffusers or transformers. */
  readonly className: string;
  /** The library where diffusers finds the class. */
  readonly library: string;
  /** Whether it has weights. */
  readonly hasWeights: boolean;
  /** Whether only models that draw from text have it. */
  readonly isForText: boolean;
}

/** The components in the order that they are saved in. */
export const COMPONENTS = {
  vqvae: component("vqvae", "VQModel", "diffusers"),
  textEncoder: component("text_encoder", "CLIPTextModel", "transformers", { isForText: true }),
  tokenizer: component("tokenizer", "CLIPTokenizer", "transformers", {
    hasWeights: false,
    isForText: true,
  }),
  transformer: component("transformer", "Transformer2DModel", "diffusers"),
  scheduler: component("scheduler", "VQDiffusionScheduler", "diffusers", { hasWeights: false }),
  learnedClassifierFreeSamplingEmbeddings: component(
    "learned_classifier_free_sampling_embeddings",
    "LearnedClassifierFreeSamplingEmbeddings",
    // Not exported by the package itself, but by the module of its pipeline.
    "vq_diffusion",
    { isForText: true },
  ),
} satisfies Readonly<Record<string, ComponentInfo>>;

function component(
  folder: string,
  className: string,
  library: string,
  { hasWeights = true, isForText = false } = {},
): ComponentInfo {
  return { folder, className, library, hasWeights, isForText };
}
