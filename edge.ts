/**
 * What an edge worker needs: the pipeline, a `fetch` handler, kernels that are compiled beforehand, and
 * a model in memory or behind a URL.
 *
 * @example
 * ```ts
 * import { createHandler, VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion/edge";
 *
 * // In a worker: import module from "@vq-diffusion/vq-diffusion/wasm/relaxed_simd.wasm";
 * declare const module: WebAssembly.Module;
 *
 * function load(): Promise<VQDiffusionPipeline> {
 *   return VQDiffusionPipeline.fromPretrained("https://example.org/model/", {
 *     device: "wasm",
 *     threads: 1,
 *     module: { simd: "relaxed-simd", module },
 *   });
 * }
 * export default { fetch: createHandler(load, { maxSteps: 25 }) };
 * ```
 *
 * @module
 */

export { VQDiffusionPipeline } from "./src/pipeline/vq_diffusion_pipeline.ts";
export type { PipelineFromPretrainedOptions } from "./src/pipeline/load_options.ts";
export {
  createHandler,
  type HandlerOptions,
  type RequestContext,
  type RequestHandler,
} from "./src/server/handler.ts";
export type { LoadPipeline } from "./src/server/shared_pipeline.ts";
export { compileKernels, type KernelModule, type SimdVariant } from "./src/backends/select.ts";
export { memoryFolder } from "./src/files/memory_folder.ts";
