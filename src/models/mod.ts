/**
 * The networks of VQ-Diffusion, which can be used alone: text encoder, transformer, image
 * autoencoder, and the embeddings that stand for no prompt. Each is loaded by `fromPretrained`, or made
 * of its parts by `create`, and computes on a `Backend`.
 *
 * @example
 * ```ts
 * import { createBackend } from "@vq-diffusion/vq-diffusion/backends";
 * import { VQModel } from "@vq-diffusion/vq-diffusion/models";
 *
 * await using backend = await createBackend({ device: "wasm" });
 * await using vqvae = await VQModel.fromPretrained("my-model", { backend, subfolder: "vqvae" });
 * using tokens = backend.tensor(new Int32Array(64), [1, 64]);
 * using image = vqvae.decodeIndices(tokens);
 * console.log(image.shape, await image.data());
 * ```
 *
 * @module
 */

export { type LoadModelOptions, Model, type ModelConfig, type SaveModelOptions } from "./model.ts";
export type { CreateModelOptions, ModelFromPretrainedOptions } from "./load_model.ts";
export type { Parameters } from "./parameters.ts";

export { type CLIPTextForwardOptions, CLIPTextModel } from "./clip_text_model.ts";
export type { CLIPTextConfig } from "./clip_text_config.ts";

export {
  type RecordTransformer2DInputs,
  type Transformer2DInputs,
  Transformer2DModel,
  type TransformerContext,
} from "./transformer_2d.ts";
export type { ConditionType, Transformer2DConfig } from "./transformer_2d_config.ts";
export type { FeedForwardActivation, FeedForwardType } from "./feed_forward.ts";

export {
  type LatentSize,
  type Quantized,
  type RecordedCodes,
  type VQDecodeIndicesOptions,
  type VQDecodeOptions,
  type VQEncodeIndicesOptions,
  VQModel,
  type VQRunOptions,
} from "./vq_model.ts";
export type { QuantizerType, VQConfig, VQDownBlockType, VQUpBlockType } from "./vq_config.ts";

export {
  LearnedClassifierFreeSamplingEmbeddings,
  type LearnedEmbeddingsConfig,
} from "./learned_embeddings.ts";
