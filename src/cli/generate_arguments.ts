/**
 * Arguments of `generate`.
 *
 * @module
 */

import { WEIGHT_DTYPES, type WeightDType } from "../base/dtypes.ts";
import type { DeviceType } from "../backends/backend.ts";
import {
  checkParameters,
  GENERATION_PARAMETERS,
  type GenerationParameters,
  PARAMETER_NAMES,
  type ParameterLimits,
  type ParameterName,
  rangeOf,
  SHORT_NAMES,
} from "../pipeline/generation_parameters.ts";
import { INTERVAL_TEXTS, parseInterval } from "../pipeline/guidance_interval.ts";
import { parseStyles, STYLE_TEXTS } from "../conditioning/styles.ts";
import { MAX_SCALE } from "../pipeline/picture_settings.ts";
import { isSampler, SAMPLERS } from "../schedulers/samplers.ts";
import { followingSeeds, parseSeed, SEEDS } from "../random/seed.ts";
import {
  choiceOption,
  type CommandOptions,
  integerOption,
  numberOption,
  parseArguments,
  UsageError,
  wrongValue,
} from "./arguments.ts";
import { classesOption } from "./class_option.ts";
import type { PicturePaths } from "./picture_files.ts";
import { type PromptSources, STANDARD_INPUT } from "./prompt_sources.ts";

/** The path that stands for the standard output. */
export const STANDARD_OUTPUT = "-";

/** The most images of one run: all are made together. */
const MAX_IMAGES = 100;

/** What `--seed` takes, for error messages. */
const SEED_LISTS = `${SEEDS}, a range of these such as 1-8, or a list such as 1,5,9`;

const OPTIONS = {
  prompts: { type: "string" },
  class: { type: "string" },
  from: { type: "string" },
  list: { type: "boolean" },
  image: { type: "string" },
  mask: { type: "string" },
  scale: { type: "string" },
  out: { type: "string", short: "o" },
  overwrite: { type: "boolean" },
  json: { type: "boolean" },
  model: { type: "string" },
  revision: { type: "string" },
  dtype: { type: "string" },
  device: { type: "string" },
  threads: { type: "string" },
  "save-tokens": { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
  help: { type: "boolean", short: "h" },
} as const;

/** Names of the options of parameters, by the names of these. */
export const PARAMETER_OPTIONS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SHORT_NAMES).map(([name, short]) => [name, short.replaceAll("_", "-")]),
);

/** Parameters as they were written, by the names of their options. */
export type ParameterTexts = Readonly<Record<string, string | undefined>>;

/** What is asked for, as far as the arguments alone tell it. */
export interface GenerateArguments extends PromptSources, PicturePaths {
  /** Whether to list what the model can draw; then the prompts are what to look for. */
  readonly list: boolean;
  /** Classes in place of prompts, of a model that draws from classes. */
  readonly classes: readonly number[] | undefined;
  /** A picture to draw again. */
  readonly from: string | undefined;
  /** What is written of the parameters: {@linkcode readParameters} reads it. */
  readonly parameters: ParameterTexts;
  /** The seeds for each prompt that are given: one for each picture, or the first. */
  readonly seeds: readonly bigint[] | undefined;
  /** Pictures of each prompt that are asked for; with several seeds, as many. */
  readonly numImagesPerPrompt: number;
  readonly scale: number | undefined;
  readonly out: string | undefined;
  readonly overwrite: boolean;
  readonly model: string | undefined;
  readonly revision: string | undefined;
  readonly dtype: WeightDType | undefined;
  readonly device: DeviceType | "auto";
  readonly threads: number | undefined;
  readonly saveTokens: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

/**
 * Reads the arguments of `generate`.
 *
 * @returns What to generate, or undefined if help was asked for.
 * @throws {UsageError} If an argument is wrong.
 */
export function readGenerateArguments(args: readonly string[]): GenerateArguments | undefined {
  const parameterOptions: CommandOptions = Object.fromEntries(
    Object.values(PARAMETER_OPTIONS).map((name) => [name, { type: "string" }] as const),
  );
  const options = { ...parameterOptions, ...OPTIONS };
  const { values, positionals: prompts } = parseArguments(args, options, PARAMETER_OPTIONS);
  if (values.help) return undefined;
  const { prompts: promptsFile, from, image, list = false } = values;
  const classes = classesOption(values.class);
  const isTold = prompts.length > 0 || promptsFile !== undefined;
  if (isTold && classes !== undefined) {
    throw new UsageError("--class is given beside a prompt, expected one of them");
  }
  // Another model than the embedded one may take neither.
  const isNothing = [classes, from, image, values.model].every((one) => one === undefined);
  if (!isTold && isNothing && !list) {
    throw new UsageError(`Expected a prompt, such as "a red apple"`);
  }
  const parameters = values as ParameterTexts;
  const { numImagesPerPrompt } = checkParameters(readParameters(parameters, {}), {});
  const seeds = seedsOption("seed", parameters["seed"]);
  const request: GenerateArguments = {
    prompts,
    promptsFile,
    classes,
    from,
    list,
    image,
    mask: values.mask,
    parameters,
    seeds,
    numImagesPerPrompt: Math.max(numImagesPerPrompt, seeds?.length ?? 1),
    scale: integerOption("scale", values.scale, { max: MAX_SCALE }),
    out: values.out,
    overwrite: values.overwrite ?? false,
    model: values.model,
    revision: values.revision,
    dtype: choiceOption("dtype", values.dtype, WEIGHT_DTYPES),
    device: choiceOption("device", values.device, ["auto", "wasm", "webgpu"]) ?? "auto",
    threads: integerOption("threads", values.threads, { max: 256 }),
    saveTokens: values["save-tokens"] ?? false,
    json: values.json ?? false,
    quiet: values.quiet ?? false,
  };
  checkTogether(request);
  return request;
}

/** Checks what depends on several arguments. */
function checkTogether(request: GenerateArguments): void {
  const { prompts, classes = [], seeds, numImagesPerPrompt, model, revision, out } = request;
  const { images } = request.parameters;
  if (!prompts.includes(STANDARD_INPUT)) {
    checkCount((prompts.length + classes.length) * numImagesPerPrompt);
  }
  if (seeds && seeds.length > 1 && images && Number(images) !== seeds.length) {
    throw new UsageError(`--images is ${images}, but --seed names ${seeds.length} seeds`);
  }
  if (model === "") throw wrongValue("model", "a folder, a URL or a hub id", "");
  if (revision !== undefined && model === undefined && request.from === undefined) {
    throw new UsageError("--revision is given without --model, expected a model on the hub");
  }
  if (out !== STANDARD_OUTPUT) return;
  if (request.json || request.saveTokens) {
    const other = request.json ? "--json" : "--save-tokens";
    throw new UsageError(`${other} is given with --out -, which is for the picture alone`);
  }
}

/**
 * Checks how many pictures there are in all.
 *
 * @throws {UsageError} If they are too many.
 */
export function checkCount(count: number): void {
  if (count > MAX_IMAGES) {
    throw new UsageError(`Expected ${MAX_IMAGES} images at most, got ${count}`);
  }
}

/**
 * Reads the parameters of a generation, as far as they are given.
 *
 * @param limits What the model allows, as soon as it is known.
 * @throws {UsageError} If one is wrong.
 */
export function readParameters(
  texts: ParameterTexts,
  limits: ParameterLimits,
): GenerationParameters {
  const read = (name: ParameterName) => {
    const option = PARAMETER_OPTIONS[name]!;
    const text = texts[option];
    switch (GENERATION_PARAMETERS[name].type) {
      case "integer":
        return integerOption(option, text, rangeOf(name, limits));
      case "number":
        return numberOption(option, text, rangeOf(name, limits));
      case "text":
        return text;
      case "texts":
        return readOption(option, text, parseStyles, STYLE_TEXTS);
      case "sampler":
        return readOption(option, text, (text) => isSampler(text) ? text : undefined, SAMPLERS);
      case "interval":
        return readOption(option, text, parseInterval, INTERVAL_TEXTS);
      case "seed": {
        const seeds = seedsOption(option, text);
        return seeds?.length === 1 ? seeds[0] : seeds;
      }
    }
  };
  return Object.fromEntries(PARAMETER_NAMES.map((name) => [name, read(name)]));
}

/** A value that `parse` makes of a text, or refuses as undefined. */
function readOption<T>(
  name: string,
  text: string | undefined,
  parse: (text: string) => T | undefined,
  expected: string,
): T | undefined {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value === undefined) throw wrongValue(name, expected, text);
  return value;
}

/** Seeds parted by commas, of which each may be a range. */
function seedsOption(name: string, text: string | undefined): bigint[] | undefined {
  if (text === undefined) return undefined;
  const seeds: bigint[] = [];
  for (const part of text.split(",")) {
    const [, first = "", last = first] = /^(\+?\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    const [from, to] = [parseSeed(first), parseSeed(last)];
    if (from === undefined || to === undefined || from > to) {
      throw wrongValue(name, SEED_LISTS, text);
    }
    const count = to - from + 1n;
    if (count > MAX_IMAGES || seeds.length + Number(count) > MAX_IMAGES) {
      throw wrongValue(name, `at most ${MAX_IMAGES} seeds`, text);
    }
    seeds.push(...followingSeeds(from, Number(count)));
  }
  return seeds;
}
