/**
 * Text to image with VQ-Diffusion, for Deno, edge runtimes and browsers: a port of the
 * `VQDiffusionPipeline` of diffusers 0.9.0 that is exact to the token.
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

export * from "./src/backends/backend.ts";
export * from "./src/backends/select.ts";
export type { KernelModule, SimdVariant } from "./src/backends/wasm/kernels.ts";
export { compileKernels } from "./src/backends/wasm/kernels.ts";
export { DeviceLostError } from "./src/backends/errors.ts";

export { type StoredDType, WEIGHT_DTYPES, type WeightDType } from "./src/base/dtypes.ts";

export type { ArraySource, StoredArray } from "./src/checkpoints/arrays.ts";
export type { CachedFile, Download, HubCache } from "./src/hub/cache.ts";
export type { Config } from "./src/checkpoints/config.ts";
export type { ByteSink, FolderWriter } from "./src/files/folder_writer.ts";
export {
  openFolder,
  type OpenFolderOptions,
  type OriginalOptions,
} from "./src/checkpoints/folders.ts";
export type { HttpOptions } from "./src/files/http.ts";
export type { HubOptions } from "./src/hub/hub.ts";
export { memoryFolder } from "./src/files/memory_folder.ts";
export { MissingFileError } from "./src/files/paths.ts";
export type { LoadEvent, OnProgress } from "./src/files/progress.ts";
export type { FileSource, ModelFolder } from "./src/files/source.ts";

export * from "./src/images/contact_sheet.ts";
export type { ImageDecodeOptions } from "./src/images/decode_image.ts";
export type { Pixels } from "./src/images/pixels.ts";
export * from "./src/images/raster_image.ts";
export type { ResizeFilter } from "./src/images/resample.ts";
export type { ResizeFit, ResizeOptions } from "./src/images/resize.ts";

export * from "./src/models/clip_text_config.ts";
export * from "./src/models/clip_text_model.ts";
export type { FeedForwardActivation } from "./src/models/feed_forward.ts";
export * from "./src/models/learned_embeddings.ts";
export type { CreateModelOptions, ModelFromPretrainedOptions } from "./src/models/load_model.ts";
export * from "./src/models/model.ts";
export * from "./src/models/transformer_2d.ts";
export * from "./src/models/transformer_2d_config.ts";
export * from "./src/models/vq_config.ts";
export * from "./src/models/vq_model.ts";

export type { PromptEmbeds, TextComponents } from "./src/conditioning/text.ts";

export type { PipelineComponents, PipelineParts } from "./src/pipeline/components.ts";
export type {
  GenerateOptions,
  GenerateProgress,
  OutputType,
  StepCallback,
  StreamOptions,
} from "./src/pipeline/generate_options.ts";
export type { GenerationParameters } from "./src/pipeline/generation_parameters.ts";
export type { PictureOptions } from "./src/pipeline/initial_tokens.ts";
export type { PipelineFromPretrainedOptions } from "./src/pipeline/load_options.ts";
export type { ImagePipelineOutput, OutputImage } from "./src/pipeline/outputs.ts";
export type { SavePretrainedOptions } from "./src/pipeline/save_pipeline.ts";
export * from "./src/pipeline/vq_diffusion_pipeline.ts";

export * from "./src/random/random_generator.ts";
export * from "./src/random/torch_generator.ts";

export type { NoiseScheduleOptions, NoiseSchedules } from "./src/schedulers/noise_schedules.ts";
export type { SamplingPlan, SamplingStep } from "./src/schedulers/sampling_plan.ts";
export type {
  NoiseSizes,
  RecordedStep,
  Scheduler,
  SchedulerConfig,
  StepInputs,
} from "./src/schedulers/scheduler.ts";
export * from "./src/schedulers/vq_diffusion_config.ts";
export * from "./src/schedulers/vq_diffusion_scheduler.ts";

export * from "./src/server/handler.ts";

export * from "./src/tokenizers/clip_tokenizer.ts";
