/**
 * Arguments of a generation, and their checks.
 *
 * @module
 */

import { checkPromptEmbeds, promptCount, type PromptEmbeds } from "../conditioning/text.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { TorchGenerator } from "../random/torch_generator.ts";

/** Form of the images of a result. */
export type OutputType =
  /** `RasterImage`s. */
  | "image"
  /** A `Float32Array` (height, width, 3) in 0 … 1 for each image. */
  | "array"
  /** An `Int32Array` (pixels) of the tokens of each image, not decoded. */
  | "tokens";

/** Called after a denoising step with its number from 0, its timestep and all tokens (batch · pixels). */
export type StepCallback = (
  step: number,
  timestep: number,
  latents: Int32Array,
) => void | Promise<void>;

/** How far a generation has come. */
export interface GenerateProgress {
  /** Denoising steps done. */
  readonly step: number;
  /** Denoising steps in all. */
  readonly steps: number;
}

/** Arguments of `VQDiffusionPipeline.stream`, by the names of diffusers' `__call__`. */
export interface StreamOptions {
  /** Denoising steps. As in diffusers the timesteps are n − 1 … 0. Default 100, or all. */
  readonly numInferenceSteps?: number;
  /** Scale of classifier-free guidance; there is none at 1 and below. Default 5. */
  readonly guidanceScale?: number;
  /** Keeps the most probable tokens up to this sum of probabilities, 0 … 1. Default 1. */
  readonly truncationRate?: number;
  /** Images for each prompt. Default 1. */
  readonly numImagesPerPrompt?: number;
  /** Shorthand for `generator: new TorchGenerator(seed)`. Default: a random seed. */
  readonly seed?: number | bigint;
  /** Where the noise comes from; goes on where it was left. */
  readonly generator?: RandomGenerator;
  /**
   * Embeddings in place of a prompt, (prompts, length, crossAttentionDim), each token divided by its L2
   * norm. They are repeated for the images of a prompt.
   */
  readonly promptEmbeds?: PromptEmbeds;
  /**
   * Embeddings in place of the unconditional ones, (1 or as many as prompts, length,
   * crossAttentionDim). Without guidance they are not used.
   */
  readonly negativePromptEmbeds?: PromptEmbeds;
  /** Tokens to start from, (images · pixels), row by row. Default: all masked. */
  readonly latents?: Int32Array;
  /** Called after each denoising step. */
  readonly onProgress?: (progress: GenerateProgress) => void;
  /** Whether to draw a progress bar on the standard error output. Default: as the pipeline is set. */
  readonly progressBar?: boolean;
  /** Stops the generation. */
  readonly signal?: AbortSignal;
}

/** Arguments of `VQDiffusionPipeline.generate`, by the names of diffusers' `__call__`. */
export interface GenerateOptions<
  O extends OutputType = "image",
  D extends boolean = true,
> extends StreamOptions {
  /** Form of the images. Default `"image"`. */
  readonly outputType?: O;
  /** Whether the result is an object; false gives a tuple. Default true. */
  readonly returnDict?: D;
  /** Called with the tokens after every `callbackSteps` steps, from the first. */
  readonly callback?: StepCallback;
  /** Steps between calls of `callback`. Default 1. */
  readonly callbackSteps?: number;
}

/** What the sizes of arguments depend on. */
export interface GenerateLimits {
  /** Timesteps of the training. */
  readonly numTrainTimesteps: number;
  /** Tokens of an image. */
  readonly pixels: number;
  /** Classes of a token, the mask included. */
  readonly numVecClasses: number;
  /** Columns of the embeddings that the transformer attends to. */
  readonly crossAttentionDim: number;
}

/** A generation with all arguments checked and filled in. */
export interface GenerateRequest {
  /** None where embeddings are given. */
  readonly prompts: readonly string[];
  readonly promptEmbeds: PromptEmbeds | undefined;
  readonly negativePromptEmbeds: PromptEmbeds | undefined;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly truncationRate: number;
  readonly numImagesPerPrompt: number;
  readonly generator: RandomGenerator;
  readonly latents: Int32Array | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Checks the arguments of a generation.
 *
 * @throws {TypeError} If one is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkGenerateOptions(
  prompt: string | readonly string[] | undefined,
  options: StreamOptions,
  limits: GenerateLimits,
): GenerateRequest {
  checkObject(options);
  const embeds = (name: "promptEmbeds" | "negativePromptEmbeds") =>
    checkPromptEmbeds(name, options[name], limits.crossAttentionDim);
  const promptEmbeds = embeds("promptEmbeds");
  const prompts = checkPrompt(prompt, promptEmbeds);
  const { guidanceScale = 5, truncationRate = 1 } = options;
  const numInferenceSteps = integer("numInferenceSteps", options.numInferenceSteps, {
    fallback: 100,
    max: limits.numTrainTimesteps,
    why: ", the timesteps of the training",
  });
  const numImagesPerPrompt = integer("numImagesPerPrompt", options.numImagesPerPrompt, {});
  checkFinite("guidanceScale", guidanceScale);
  checkFinite("truncationRate", truncationRate);
  if (truncationRate < 0 || truncationRate > 1) {
    refuse("truncationRate", "a number from 0 to 1", truncationRate);
  }
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw new TypeError(
      `Cannot generate: signal is an AbortSignal, got ${describe(options.signal)}`,
    );
  }
  checkFunction("onProgress", options.onProgress);
  checkBoolean("progressBar", options.progressBar);
  const images = promptCount({ prompts, promptEmbeds }) * numImagesPerPrompt;
  checkSize(images, limits);
  return {
    prompts,
    promptEmbeds,
    negativePromptEmbeds: embeds("negativePromptEmbeds"),
    numInferenceSteps,
    guidanceScale,
    truncationRate,
    numImagesPerPrompt,
    latents: checkLatents(options.latents, images, limits),
    generator: checkGenerator(options),
    signal: options.signal,
  };
}

/**
 * Checks the arguments that only `generate` has.
 *
 * @throws {TypeError} If one is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkOutputOptions(options: GenerateOptions<OutputType, boolean>): void {
  checkObject(options);
  const { outputType = "image" } = options;
  if (!["image", "array", "tokens"].includes(outputType)) {
    refuse("outputType", `"image", "array" or "tokens"`, String(outputType));
  }
  checkBoolean("returnDict", options.returnDict);
  integer("callbackSteps", options.callbackSteps, {});
  checkFunction("callback", options.callback);
}

function checkObject(options: unknown): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new TypeError(`Cannot generate: options is an object, got ${describe(options)}`);
}

function checkPrompt(
  prompt: string | readonly string[] | undefined,
  promptEmbeds: PromptEmbeds | undefined,
): readonly string[] {
  if (promptEmbeds !== undefined) {
    if (prompt === undefined) return [];
    throw new TypeError(
      "Cannot generate: prompt and promptEmbeds are both given, expected one of them",
    );
  }
  if (typeof prompt === "string") return [prompt];
  if (!Array.isArray(prompt) || !prompt.every((text) => typeof text === "string")) {
    const got = Array.isArray(prompt) ? "an array of other things" : describe(prompt);
    throw new TypeError(
      `Cannot generate: prompt is a string or an array of strings, got ${got}`,
    );
  }
  if (prompt.length === 0) refuse("prompt", "at least one string", "an empty array");
  return [...prompt];
}

function checkGenerator({ seed, generator }: StreamOptions): RandomGenerator {
  if (generator === undefined) {
    return new TorchGenerator(
      seed === undefined ? crypto.getRandomValues(new Uint32Array(1))[0]! : seed,
    );
  }
  if (seed !== undefined) {
    throw new TypeError("Cannot generate: seed and generator are both given, expected one of them");
  }
  if (typeof generator?.fill !== "function") {
    throw new TypeError(
      `Cannot generate: generator has a method fill, got ${describe(generator)}`,
    );
  }
  return generator;
}

function checkLatents(
  latents: Int32Array | undefined,
  images: number,
  { pixels, numVecClasses }: GenerateLimits,
): Int32Array | undefined {
  if (latents === undefined) return undefined;
  if (!(latents instanceof Int32Array)) {
    throw new TypeError(`Cannot generate: latents is an Int32Array, got ${describe(latents)}`);
  }
  if (latents.length !== images * pixels) {
    refuse("latents", `${images} · ${pixels} token ids`, latents.length);
  }
  const wrong = latents.find((id) => id < 0 || id >= numVecClasses);
  if (wrong !== undefined) {
    refuse("latents", `token ids from 0 to ${numVecClasses - 1}`, wrong);
  }
  return latents.slice();
}

/** The noise of a step has to lie in one array. */
const MAX_NOISE_BYTES = 2 ** 32;

/** Refuses at once what no memory holds; whether less fits depends on the device. */
function checkSize(images: number, { pixels, numVecClasses }: GenerateLimits): void {
  const bytes = images * pixels * numVecClasses * Float32Array.BYTES_PER_ELEMENT;
  if (bytes <= MAX_NOISE_BYTES) return;
  throw new RangeError(
    `Cannot generate: ${images} images at once need ${
      (bytes / 2 ** 30).toFixed(1)
    } GiB for their ` +
      `noise, at most ${MAX_NOISE_BYTES / 2 ** 30} GiB are possible`,
  );
}

/** Checks a whole number from 1 on, and fills it in where none is given. */
function integer(
  name: string,
  value: number | undefined,
  { fallback = 1, max = Number.MAX_SAFE_INTEGER, why = "" }: {
    fallback?: number;
    max?: number;
    why?: string;
  },
): number {
  if (value === undefined) return Math.min(fallback, max);
  if (typeof value !== "number") {
    throw new TypeError(`Cannot generate: ${name} is a number, got ${describe(value)}`);
  }
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
  const upTo = max === Number.MAX_SAFE_INTEGER ? "on" : `to ${max}${why}`;
  return refuse(name, `a whole number from 1 ${upTo}`, value);
}

function checkFinite(name: string, value: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot generate: ${name} is a number, got ${describe(value)}`);
  }
  if (!Number.isFinite(value)) refuse(name, "a finite number", value);
}

function checkBoolean(name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(`Cannot generate: ${name} is a boolean, got ${describe(value)}`);
}

function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(`Cannot generate: ${name} is a function, got ${describe(value)}`);
}

function refuse(name: string, expected: string, got: unknown): never {
  throw new RangeError(`Cannot generate: expected ${name} to be ${expected}, got ${got}`);
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `${typeof value}`;
}
