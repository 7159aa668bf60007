/**
 * Arguments of loading a pipeline, and their checks.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import {
  checkChoice,
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  refuseType,
  type Subject,
} from "../base/check.ts";
import type { CreateBackendOptions } from "../backends/select.ts";
import type { OpenFolderOptions } from "../checkpoints/folders.ts";

/** Options of `VQDiffusionPipeline.fromPretrained`. */
export interface PipelineFromPretrainedOptions extends OpenFolderOptions, CreateBackendOptions {
  /**
   * How the weights of linear layers are held. Float32 is the reference. Default: as stored, but
   * float32 for the embedded model.
   */
  readonly dtype?: WeightDType | undefined;
  /**
   * Which of several files of weights to take: `"fp16"` for `model.fp16.safetensors`. Where there is no
   * such file, the ordinary one is taken, with a notice.
   */
  readonly variant?: string | undefined;
  /** Where to compute, if that is there already; it stays the caller's. */
  readonly backend?: Backend | undefined;
}

const OPTIONS: Readonly<Record<keyof PipelineFromPretrainedOptions, true>> = {
  dtype: true,
  variant: true,
  backend: true,
  device: true,
  threads: true,
  simd: true,
  module: true,
  reason: true,
  original: true,
  revision: true,
  token: true,
  endpoint: true,
  cache: true,
  verify: true,
  localFilesOnly: true,
  fetch: true,
  signal: true,
  retries: true,
  retryDelay: true,
  stallTimeout: true,
  onProgress: true,
};

const TASK = "load a pipeline";

function subject(name: string): Subject {
  return { task: TASK, name };
}

/**
 * Checks what no later step of loading does.
 *
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkLoadOptions(source: unknown, options: PipelineFromPretrainedOptions): void {
  const isFolder = typeof source === "object" && source !== null && "readText" in source;
  if (typeof source !== "string" && !(source instanceof URL) && !isFolder) {
    refuseType(subject("source"), source, "a string, a URL or an open folder");
  }
  checkOptions(TASK, options, Object.keys(OPTIONS));
  checkSignal(subject("signal"), options.signal);
  checkFunction(subject("onProgress"), options.onProgress);
  const { backend } = options;
  if (backend !== undefined && typeof backend?.frame !== "function") {
    refuseType(subject("backend"), backend, "a Backend");
  }
  checkChoice(subject("dtype"), options.dtype, WEIGHT_DTYPES);
  checkChoice(subject("verify"), options.verify, ["always", "changed", "never"]);
  checkChoice(subject("simd"), options.simd, ["relaxed-simd", "simd"]);
  // Also on a GPU, whose place the CPU may have to take.
  checkInteger(subject("threads"), options.threads, { min: 1 });
}

/**
 * A signal that is aborted with another until it is disposed of. Files that stay open keep the signal
 * they were opened with, and what stops the loading must not stop a later reading.
 */
export function linkedSignal(
  other: AbortSignal | undefined,
): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const abort = () => controller.abort(other?.reason);
  other?.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => other?.removeEventListener("abort", abort),
  };
}
