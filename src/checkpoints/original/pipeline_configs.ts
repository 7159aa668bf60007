/**
 * The configs of a pipeline that say nothing of the arrays of its components.
 *
 * @module
 */

import type { OriginalKind } from "./original_config.ts";

/**
 * `model_index.json` in the form of diffusers: what a model of classes or without condition does not have
 * is `null` there, as with any component that may be missing.
 */
export function modelIndex(kind: OriginalKind): Record<string, unknown> {
  const ofText = (...entry: [library: string, className: string]) =>
    kind === "text" ? entry : [null, null];
  return {
    _class_name: "VQDiffusionPipeline",
    _diffusers_version: "0.9.0",
    learned_classifier_free_sampling_embeddings: ofText(
      "vq_diffusion",
      "LearnedClassifierFreeSamplingEmbeddings",
    ),
    scheduler: ["diffusers", "VQDiffusionScheduler"],
    text_encoder: ofText("transformers", "CLIPTextModel"),
    tokenizer: ofText("transformers", "CLIPTokenizer"),
    transformer: ["diffusers", "Transformer2DModel"],
    vqvae: ["diffusers", "VQModel"],
  };
}

/**
 * The schedule `alpha1` of Microsoft's code, which is the default of diffusers. Models that diffusers does
 * not have draw as in Microsoft's code.
 */
export function schedulerConfig(
  classes: number,
  timesteps: unknown,
  kind: OriginalKind,
): Record<string, unknown> {
  return {
    _class_name: "VQDiffusionScheduler",
    _diffusers_version: "0.9.0",
    alpha_cum_end: 0.000009,
    alpha_cum_start: 0.99999,
    gamma_cum_end: 0.99999,
    gamma_cum_start: 0.000009,
    num_train_timesteps: timesteps,
    num_vec_classes: classes,
    ...(kind !== "text" && { sampling_reference: "microsoft" }),
  };
}
