/**
 * Arguments of loading a pipeline, and their checks.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { Backend } from "../backends/backend.ts";
import { checkOptions } from "../base/check.ts";
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
  localFilesOnly: true,
  fetch: true,
  signal: true,
  retries: true,
  retryDelay: true,
  stallTimeout: true,
  onProgress: true,
};

/**
 * Checks what no later step of loading does.
 *
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkLoadOptions(source: unknown, options: PipelineFromPretrainedOptions): void {
  const isFolder = typeof source === "object" && source !== null && "readText" in source;
  if (typeof source !== "string" && !(source instanceof URL) && !isFolder) {
    refuse("source", "a string, a URL or an open folder", source);
  }
  checkOptions("load a pipeline", options, Object.keys(OPTIONS));
  const { dtype, signal, onProgress, backend } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse("signal", "an AbortSignal", signal);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    refuse("onProgress", "a function", onProgress);
  }
  if (backend !== undefined && typeof backend?.frame !== "function") {
    refuse("backend", "a Backend", backend);
  }
  checkChoice("dtype", dtype, WEIGHT_DTYPES);
  checkChoice("simd", options.simd, ["relaxed-simd", "simd"]);
  const { threads } = options;
  // Also on a GPU, whose place the CPU may have to take.
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1)) {
    throw new RangeError(
      `Cannot load a pipeline: threads is a whole number from 1 on, got ${threads}`,
    );
  }
}

function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (value === undefined || choices.some((choice) => choice === value)) return;
  throw new RangeError(
    `Cannot load a pipeline: ${name} is one of ${choices.join(", ")}, got ${JSON.stringify(value)}`,
  );
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

function refuse(name: string, expected: string, got: unknown): never {
  throw new TypeError(
    `Cannot load a pipeline: ${name} is ${expected}, got ${got === null ? "null" : typeof got}`,
  );
}
