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
  type ParameterLimits,
  type ParameterName,
  PROMPT_PARAMETER_NAMES,
  rangeOf,
  SHORT_NAMES,
} from "../pipeline/generation_parameters.ts";
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
import { MAX_SCALE } from "./picture_settings.ts";
import { classesOption } from "./picture_subject.ts";
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

const PARAMETER_OPTIONS: CommandOptions = Object.fromEntries(
  PROMPT_PARAMETER_NAMES.map((name) => [SHORT_NAMES[name]!, { type: "string" }] as const),
);

/** Parameters as they were written, by their short names. */
export type ParameterTexts = Readonly<Record<string, string | undefined>>;

/** What is asked for, as far as the arguments alone tell it. */
export interface GenerateArguments extends PromptSources {
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
  const options = { ...PARAMETER_OPTIONS, ...OPTIONS };
  const { values, positionals: prompts } = parseArguments(args, options, SHORT_NAMES);
  if (values.help) return undefined;
  const { prompts: promptsFile, from, list = false } = values;
  const classes = classesOption(values.class);
  const isTold = prompts.length > 0 || promptsFile !== undefined;
  if (isTold && classes !== undefined) {
    throw new UsageError("--class is given beside a prompt, expected one of them");
  }
  // Another model than the embedded one may take neither.
  if (!isTold && !classes && !list && from === undefined && values.model === undefined) {
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
    const { shortName, type } = GENERATION_PARAMETERS[name];
    const text = texts[shortName];
    switch (type) {
      case "integer":
        return integerOption(shortName, text, rangeOf(name, limits));
      case "number":
        return numberOption(shortName, text, rangeOf(name, limits));
      case "seed": {
        const seeds = seedsOption(shortName, text);
        return seeds?.length === 1 ? seeds[0] : seeds;
      }
    }
  };
  return Object.fromEntries(PROMPT_PARAMETER_NAMES.map((name) => [name, read(name)]));
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
