/**
 * Arguments of a generation, and their checks.
 *
 * @module
 */

import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkInteger,
  checkOptions,
  checkSignal,
  refuseRange,
  refuseType,
  type Subject,
} from "../base/check.ts";
import { formatBytes } from "../base/format.ts";
import { checkClassLabels, isClassLabelInput } from "../conditioning/class_label.ts";
import type { GenerateInput } from "../conditioning/condition.ts";
import { styledPrompts } from "../conditioning/styles.ts";
import {
  checkPromptEmbeds,
  checkPrompts,
  promptCount,
  type PromptEmbeds,
} from "../conditioning/text.ts";
import type { ConditionType } from "../models/transformer_2d_config.ts";
import { BatchGenerator, imageSeed } from "../random/batch_generator.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import { followingSeeds, randomSeed, type Seed } from "../random/seed.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import { checkPictureOptions, type PictureOptions } from "./picture_options.ts";
import {
  checkParameters,
  type GenerationParameters,
  type GenerationValues,
  LONG_NAMES,
  PARAMETER_NAMES,
  type ParameterLimits,
  type ParameterName,
  stylesOf,
  unpromptedLimits,
} from "./generation_parameters.ts";

/** Form of the images of a result. */
export type OutputType =
  /** `RasterImage`s. */
  | "image"
  /** A `Float32Array` (height, width, 3) in 0 … 1 for each image. */
  | "array"
  /** An `Int32Array` (pixels) of the tokens of each image, not decoded. */
  | "tokens";

/**
 * Called after a denoising step with its number, its timestep and all tokens (batch · pixels). The number
 * counts from 0, as in diffusers; events and progress count from 1.
 */
export type StepCallback = (
  step: number,
  timestep: number,
  latents: Int32Array,
) => void | Promise<void>;

/** How far a generation has come. */
export interface GenerateProgress {
  /** Denoising steps done: 1 after the first. */
  readonly step: number;
  /** Denoising steps in all. */
  readonly steps: number;
}

/** Arguments of `VQDiffusionPipeline.stream`, by the names of diffusers' `__call__`. */
export interface StreamOptions extends GenerationParameters, PictureOptions {
  /**
   * Embeddings in place of a prompt, (prompts, length, crossAttentionDim), each token divided by its L2
   * norm. They are repeated for the images of a prompt.
   */
  readonly promptEmbeds?: PromptEmbeds | undefined;
  /**
   * Embeddings in place of those of a negative prompt, (1 or as many as prompts, length,
   * crossAttentionDim). Without guidance they are not used.
   */
  readonly negativePromptEmbeds?: PromptEmbeds | undefined;
  /**
   * Where the noise comes from, in place of a seed: one stream for all images, or a list with one for
   * each, as in diffusers. Goes on where it was left.
   */
  readonly generator?: RandomGenerator | readonly RandomGenerator[] | undefined;
  /** Tokens to start from, (images · pixels), row by row. Default: all masked. */
  readonly latents?: Int32Array | undefined;
  /** Called after each denoising step. */
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
  /** Whether to draw a progress bar on the standard error output. Default: as the pipeline is set. */
  readonly progressBar?: boolean | undefined;
  /** Stops the generation. */
  readonly signal?: AbortSignal | undefined;
}

/** Arguments of `VQDiffusionPipeline.generate`, by the names of diffusers' `__call__`. */
export interface GenerateOptions<
  O extends OutputType = "image",
  D extends boolean = true,
> extends StreamOptions {
  /** Form of the images. Default `"image"`. */
  readonly outputType?: O | undefined;
  /** Whether the result is an object; false gives a tuple. Default true. */
  readonly returnDict?: D | undefined;
  /** Called with the tokens after every `callbackSteps` steps, from the first. */
  readonly callback?: StepCallback | undefined;
  /** Steps between calls of `callback`. Default 1. */
  readonly callbackSteps?: number | undefined;
}

/** What the arguments of a generation depend on. */
export interface GenerateLimits extends ParameterLimits {
  /** Tokens of an image. */
  readonly pixels: number;
  /** Classes of a token, the mask included. */
  readonly numVecClasses: number;
  /** What the transformer draws from. */
  readonly conditionType: ConditionType;
  /** Columns of the embeddings that it attends to, if it draws from text. */
  readonly crossAttentionDim: number;
  /** Classes, if it draws from them. */
  readonly numClassEmbeds: number;
}

/** A generation with all arguments checked and filled in. */
export interface GenerateRequest
  extends Omit<GenerationValues, "seed" | "negativePrompt" | "styles"> {
  /** Labels of classes in place of prompts; undefined if the model does not draw from classes. */
  readonly classLabels: readonly number[] | undefined;
  /** The prompts; none if there are `promptEmbeds`, or the model does not draw from text. */
  readonly prompts: readonly string[];
  /** The prompt of each image, if their seeds choose styles. */
  readonly imagePrompts: readonly string[] | undefined;
  /** Whether the prompts are empty because there are none. */
  readonly unprompted: boolean;
  /** Embeddings in place of prompts. */
  readonly promptEmbeds: PromptEmbeds | undefined;
  /** Texts in place of no prompt: one, or one for each prompt. */
  readonly negativePrompts: readonly string[] | undefined;
  /** Embeddings in place of the unconditional ones. */
  readonly negativePromptEmbeds: PromptEmbeds | undefined;
  /** Images in all: prompts or their embeddings, times `numImagesPerPrompt`. */
  readonly batch: number;
  /** Where the noise comes from. */
  readonly generator: RandomGenerator;
  /** Tokens to start from, (batch · pixels). */
  readonly latents: Int32Array | undefined;
  /** Stops the generation. */
  readonly signal: AbortSignal | undefined;
}

const TASK = "generate";

/** Options of `stream` beside the parameters. */
const STREAM_OPTIONS: Readonly<Record<Exclude<keyof StreamOptions, ParameterName>, true>> = {
  promptEmbeds: true,
  negativePromptEmbeds: true,
  generator: true,
  latents: true,
  image: true,
  maskImage: true,
  onProgress: true,
  progressBar: true,
  signal: true,
};

/** Options that only `generate` has. */
const OUTPUT_OPTIONS: Readonly<Record<Exclude<keyof GenerateOptions, keyof StreamOptions>, true>> =
  {
    outputType: true,
    returnDict: true,
    callback: true,
    callbackSteps: true,
  };

const STREAM_NAMES = [...PARAMETER_NAMES, ...Object.keys(STREAM_OPTIONS)];
const GENERATE_NAMES = [...STREAM_NAMES, ...Object.keys(OUTPUT_OPTIONS)];

/**
 * Checks the names of `stream`'s options.
 *
 * @throws {TypeError} If there is another one.
 */
export function checkStreamOptions(options: StreamOptions): void {
  checkOptions(TASK, options, STREAM_NAMES, LONG_NAMES);
}

/**
 * Checks the names of `generate`'s options, and those arguments that `stream` does not have.
 *
 * @throws {TypeError} If there is another one, or one is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkOutputOptions(options: GenerateOptions<OutputType, boolean>): void {
  checkOptions(TASK, options, GENERATE_NAMES, LONG_NAMES);
  checkChoice(subject("outputType"), options.outputType, ["image", "array", "tokens"]);
  checkBoolean(subject("returnDict"), options.returnDict);
  checkInteger(subject("callbackSteps"), options.callbackSteps, { min: 1 });
  checkFunction(subject("callback"), options.callback);
}

/**
 * Checks the arguments that `generate` and `stream` share, and fills them in.
 *
 * @throws {TypeError} If one is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkGenerateOptions(
  prompt: GenerateInput,
  options: StreamOptions,
  limits: GenerateLimits,
): GenerateRequest {
  const { signal } = options;
  const isText = limits.conditionType === "text";
  if (!isText) refuseTextOptions(options, limits.conditionType);
  const classLabels = isText ? undefined : checkClassLabels(prompt, limits);
  const embeds = (name: "promptEmbeds" | "negativePromptEmbeds") =>
    checkPromptEmbeds(name, options[name], limits.crossAttentionDim);
  const promptEmbeds = embeds("promptEmbeds");
  const negativePromptEmbeds = embeds("negativePromptEmbeds");
  const { image } = options;
  // Of a picture alone there are variations, with nothing that guidance could follow.
  const unprompted = isText && prompt === undefined && promptEmbeds === undefined &&
    image !== undefined;
  const empty = Array.isArray(image) ? image.map(() => "") : "";
  const prompts = isText ? checkPrompt(unprompted ? empty : prompt, promptEmbeds) : [];
  const own = unprompted ? unpromptedLimits(limits) : limits;
  const { seed, negativePrompt, styles: _, ...values } = checkParameters(options, own);
  checkSignal(subject("signal"), signal);
  checkFunction(subject("onProgress"), options.onProgress);
  checkBoolean(subject("progressBar"), options.progressBar);
  const count = isText
    ? promptCount({ prompts, promptEmbeds })
    : classLabels?.length ?? [image].flat().length;
  const negativePrompts = checkNegativePrompt(negativePrompt, negativePromptEmbeds, count);
  checkPictureOptions(options, count);
  checkSize(count, values.numImagesPerPrompt, limits);
  const batch = count * values.numImagesPerPrompt;
  const generator = checkGenerator(seed, options.generator, batch);
  const styles = stylesOf(options.styles, image !== undefined, limits);
  const seedOf = (image: number) => imageSeed(generator, image);
  return {
    ...values,
    classLabels,
    prompts,
    imagePrompts: styledPrompts(prompts, { copies: values.numImagesPerPrompt, styles, seedOf }),
    unprompted,
    promptEmbeds,
    negativePrompts,
    negativePromptEmbeds,
    batch,
    latents: checkLatents(options.latents, batch, limits),
    generator,
    signal,
  };
}

function subject(name: string): Subject {
  return { task: TASK, name };
}

/** Options that only a model takes that draws from text. */
const TEXT_OPTIONS = ["promptEmbeds", "negativePrompt", "negativePromptEmbeds", "styles"] as const;

function refuseTextOptions(options: StreamOptions, conditionType: ConditionType): void {
  const isGiven = (value: unknown) => Array.isArray(value) ? value.length > 0 : value !== undefined;
  const given = TEXT_OPTIONS.find((name) => isGiven(options[name]));
  if (given === undefined) return;
  const reason = conditionType === "class"
    ? "as the model draws from classes"
    : "as the model is unconditional";
  throw new TypeError(`Cannot generate: ${given} is given, expected none, ${reason}`);
}

function checkPrompt(
  prompt: GenerateInput,
  embeds: PromptEmbeds | undefined,
): readonly string[] {
  if (isClassLabelInput(prompt)) {
    throw new TypeError(
      "Cannot generate: classLabel is given, expected a prompt, as the model draws from text",
    );
  }
  if (embeds !== undefined) {
    if (prompt === undefined) return [];
    throw new TypeError(
      "Cannot generate: prompt and promptEmbeds are both given, expected one of them",
    );
  }
  return checkPrompts(TASK, prompt);
}

function checkNegativePrompt(
  given: GenerationValues["negativePrompt"],
  embeds: PromptEmbeds | undefined,
  count: number,
): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (embeds !== undefined) {
    throw new TypeError(
      "Cannot generate: negativePrompt and negativePromptEmbeds are both given, expected one of them",
    );
  }
  if (typeof given === "string") return [given];
  if (given.length !== 1 && given.length !== count) {
    const expected = count === 1 ? "1" : `1 or ${count}, one for each prompt`;
    refuseRange(subject("negativePrompt.length"), given.length, expected);
  }
  return [...given];
}

/** One stream for all images, or one for each. */
function checkGenerator(
  seed: GenerationValues["seed"],
  generator: StreamOptions["generator"],
  batch: number,
): RandomGenerator {
  if (generator === undefined) return seededGenerator(seed ?? randomSeed(), batch);
  if (seed !== undefined) {
    throw new TypeError("Cannot generate: seed and generator are both given, expected one of them");
  }
  if (!Array.isArray(generator)) return fillingGenerator("generator", generator);
  checkCount("generator", generator, batch);
  return ofBatch(generator.map((one, i) => fillingGenerator(`generator[${i}]`, one)));
}

/** A stream for each image, so that any of them can be drawn again alone. */
function seededGenerator(seed: Seed | readonly Seed[], batch: number): RandomGenerator {
  if (!(seed instanceof Array)) {
    const first = new TorchGenerator(seed); // which checks it
    return batch === 1 ? first : seededGenerator(followingSeeds(seed, batch), batch);
  }
  checkCount("seed", seed, batch);
  return ofBatch(seed.map((one) => new TorchGenerator(one)));
}

function ofBatch(generators: readonly RandomGenerator[]): RandomGenerator {
  return generators.length === 1 ? generators[0]! : new BatchGenerator(generators);
}

function checkCount(name: string, list: readonly unknown[], batch: number): void {
  if (list.length === batch) return;
  refuseRange(subject(`${name}.length`), list.length, `${batch}, one for each image`);
}

function fillingGenerator(name: string, generator: unknown): RandomGenerator {
  // Arrays have a method of this name, which draws nothing.
  const isArray = Array.isArray(generator) || ArrayBuffer.isView(generator);
  if (!isArray && typeof (generator as RandomGenerator | null)?.fill === "function") {
    return generator as RandomGenerator;
  }
  refuseType(subject(name), generator, "an object with a method fill");
}

function checkLatents(
  latents: Int32Array | undefined,
  batch: number,
  { pixels, numVecClasses }: GenerateLimits,
): Int32Array | undefined {
  if (latents === undefined) return undefined;
  if (!(latents instanceof Int32Array)) refuseType(subject("latents"), latents, "an Int32Array");
  if (latents.length !== batch * pixels) {
    refuseRange(subject("latents.length"), latents.length, `${batch} · ${pixels} token ids`);
  }
  const wrong = latents.findIndex((id) => id < 0 || id >= numVecClasses);
  if (wrong >= 0) {
    const expected = `a token id from 0 to ${numVecClasses - 1}`;
    refuseRange(subject(`latents[${wrong}]`), latents[wrong], expected);
  }
  return latents.slice();
}

/** The noise of a step has to lie in one array. */
const MAX_NOISE_BYTES = 2 ** 32;

/** Refuses at once what no memory holds; whether less fits depends on the device. */
function checkSize(
  count: number,
  numImagesPerPrompt: number,
  { pixels, numVecClasses }: GenerateLimits,
): void {
  const bytes = count * pixels * numVecClasses * Float32Array.BYTES_PER_ELEMENT;
  const max = Math.floor(MAX_NOISE_BYTES / bytes);
  if (numImagesPerPrompt <= max) return;
  const expected = `at most ${max}: the noise of a step would take ` +
    `${formatBytes(bytes * numImagesPerPrompt)} of at most ${formatBytes(MAX_NOISE_BYTES)}`;
  refuseRange(subject("numImagesPerPrompt"), numImagesPerPrompt, expected);
}
