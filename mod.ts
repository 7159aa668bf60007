/**
 * Text to image with VQ-Diffusion, for Deno, edge runtimes and browsers: a port of the
 * `VQDiffusionPipeline` of diffusers 0.9.0 that is exact to the token.
 *
 * This entry has what most programs need. The parts have entries of their own: `./models`,
 * `./schedulers`, `./tokenizers`, `./images`, `./backends` (the operations that models are written in),
 * `./checkpoints` (files, folders and the hub), `./server` (a `fetch` handler) and `./edge`.
 *
 * @example
 * ```ts
 * import { VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
 *
 * await using pipe = await VQDiffusionPipeline.fromPretrained();
 * const { images } = await pipe.generate("a red apple on a blue background", { seed: 1 });
 * await Deno.writeFile("apple.png", await images[0]!.toPng());
 * ```
 *
 * @module
 */

// The pipeline: loading, drawing, saving.
export { type StreamEvent, VQDiffusionPipeline } from "./src/pipeline/vq_diffusion_pipeline.ts";
export type { PipelineFromPretrainedOptions } from "./src/pipeline/load_options.ts";
export type { OpenFolderOptions } from "./src/checkpoints/folders.ts";
export type { LoadEvent, OnProgress } from "./src/files/progress.ts";
export type { GenerationParameters } from "./src/pipeline/generation_parameters.ts";
export type { GenerationConfig } from "./src/pipeline/generation_config.ts";
export type {
  GenerateOptions,
  GenerateProgress,
  OutputType,
  StepCallback,
  StreamOptions,
} from "./src/pipeline/generate_options.ts";
export type { GenerateInput } from "./src/conditioning/condition.ts";
export type { PromptEmbeds, TextComponents } from "./src/conditioning/text.ts";
export type { KnownNames } from "./src/conditioning/known_names.ts";
export { styledPrompt } from "./src/conditioning/styles.ts";
export type { PromptNote } from "./src/conditioning/prompt_notes.ts";
export type { PictureOptions } from "./src/pipeline/picture_options.ts";
export type { ImagePipelineOutput, OutputImage } from "./src/pipeline/outputs.ts";
export type { SavePretrainedOptions } from "./src/pipeline/save_pipeline.ts";
export type { PipelineComponents, PipelineParts } from "./src/pipeline/components.ts";

// Its components.
export { Model } from "./src/models/model.ts";
export { CLIPTokenizer } from "./src/tokenizers/clip_tokenizer.ts";
export { CLIPTextModel } from "./src/models/clip_text_model.ts";
export { Transformer2DModel } from "./src/models/transformer_2d.ts";
export { VQModel } from "./src/models/vq_model.ts";
export { LearnedClassifierFreeSamplingEmbeddings } from "./src/models/learned_embeddings.ts";

// Schedulers, any of which a pipeline takes.
export type { Scheduler } from "./src/schedulers/scheduler.ts";
export { VQDiffusionScheduler } from "./src/schedulers/vq_diffusion_scheduler.ts";
export { VQDiffusionFastScheduler } from "./src/schedulers/vq_diffusion_fast_scheduler.ts";
export { VQDiffusionPurityScheduler } from "./src/schedulers/vq_diffusion_purity_scheduler.ts";

// Images.
export { RasterImage } from "./src/images/raster_image.ts";
export { contactSheet, type ContactSheetOptions } from "./src/images/contact_sheet.ts";

// Random numbers.
export type { RandomGenerator } from "./src/random/random_generator.ts";
export type { Seed } from "./src/random/seed.ts";
export { TorchGenerator } from "./src/random/torch_generator.ts";

// Devices.
export { createBackend, type CreateBackendOptions } from "./src/backends/select.ts";
export type { Backend, DeviceInfo, DeviceType, Tensor } from "./src/backends/backend.ts";
export type { WeightDType } from "./src/base/dtypes.ts";

// Errors that a program may want to catch.
export { DeviceLostError } from "./src/backends/errors.ts";
export { MissingFileError } from "./src/files/paths.ts";
