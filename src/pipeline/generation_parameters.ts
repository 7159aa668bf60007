/**
 * The parameters of a generation: their names, types, ranges, defaults and help, for the library, the
 * command line and HTTP. A new one is a field of {@linkcode GenerationParameters}, an entry of
 * {@linkcode GENERATION_PARAMETERS}, and its use.
 *
 * @module
 */

import { checkInteger, checkNumber, type Range, refuseType, type Subject } from "../base/check.ts";
import { A_STYLE, isStyle } from "../conditioning/styles.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import type { Seed } from "../random/seed.ts";
import { checkSampler, stepsOfSampler } from "../schedulers/samplers.ts";
import { checkInterval } from "./guidance_interval.ts";

/**
 * Parameters of a generation, by the names of diffusers' `__call__`. A model's `generation_config.json`
 * may have other defaults for steps, guidance, truncation and styles.
 */
export interface GenerationParameters {
  /** Seed of the first image; the next have the following ones. Or a list. Default: a random seed. */
  readonly seed?: Seed | readonly Seed[] | undefined;
  /** Denoising steps, at timesteps that the scheduler chooses. Default 100, or all. */
  readonly numInferenceSteps?: number | undefined;
  /**
   * Sampler in place of the pipeline's scheduler: `"leading"`, `"strided"`, `"cosine"`, `"fast:4"` (with
   * that speed; steps follow from it), `"purity"` or `"purity:2:1"` (with that rule and weight).
   * Default: the model's.
   */
  readonly sampler?: string | undefined;
  /**
   * Scale of classifier-free guidance; there is none at 1 and, as in diffusers, below.
   * Default 5, but 1 for models that do not draw from text.
   */
  readonly guidanceScale?: number | undefined;
  /**
   * Guidance at the steps only whose share of the noise, (t + 1) / T, is above the first number and at most
   * the second; the others ask the network once instead of twice. Default: at all steps.
   */
  readonly guidanceInterval?: readonly [low: number, high: number] | undefined;
  /**
   * What guidance leads away from, in place of what the model has learned for no prompt; an empty text
   * stands for that. An array has one for each prompt. Default: none.
   */
  readonly negativePrompt?: string | readonly string[] | undefined;
  /**
   * What is put behind a prompt that has none of these, such as `"flat style"`: the seed of an image chooses
   * one (see `styledPrompt`); that of a generator is the one it began with. An empty array leaves prompts as
   * they stand, as does a picture to start from, which shows its own style. Embeddings get none.
   * Default: the model's, if it has any.
   */
  readonly styles?: readonly string[] | undefined;
  /** Keeps the most probable tokens up to this sum of probabilities, 0 … 1. Default 1. */
  readonly truncationRate?: number | undefined;
  /** Keeps at most so many tokens, the most probable ones. Default: all. */
  readonly topK?: number | undefined;
  /** Images for each prompt. Default 1. */
  readonly numImagesPerPrompt?: number | undefined;
  /**
   * How much of `image` is drawn anew: it is noised up to this share of the timesteps, 0 … 1, and denoised
   * from there. Default 0.8, or 1 with a mask.
   */
  readonly strength?: number | undefined;
}

/** Name of a parameter in the library. */
export type ParameterName = keyof GenerationParameters;

/** Parameters without a default of their own. */
type OpenParameter =
  | "seed"
  | "sampler"
  | "guidanceInterval"
  | "negativePrompt"
  | "styles"
  | "topK"
  | "strength";

/** The values of a generation: what is not given is filled in, as far as there are defaults. */
export type GenerationValues =
  & { readonly [N in Exclude<ParameterName, OpenParameter>]: NonNullable<GenerationParameters[N]> }
  & Pick<GenerationParameters, OpenParameter>;

/** What the ranges and the defaults of parameters depend on. */
export interface ParameterLimits {
  /** Timesteps of the model's training; undefined as long as there is no model. */
  readonly numTrainTimesteps?: number | undefined;
  /** Steps that follow from the model's own scheduler, if it fixes them: they come before the defaults. */
  readonly fixedSteps?: number | undefined;
  /** Defaults of a model, which come before those of diffusers. How many images is not its to say. */
  readonly defaults?:
    | Omit<GenerationParameters, Exclude<OpenParameter, "styles"> | "numImagesPerPrompt">
    | undefined;
  /** Narrower ranges than the table's. Defaults are moved into them. */
  readonly ranges?: Readonly<Partial<Record<ParameterName, Range>>> | undefined;
}

/** What there is to know about a parameter. */
export interface GenerationParameter {
  /** Name in HTTP requests (`top_k`) and, with hyphens, on the command line (`--top-k`). */
  readonly shortName: string;
  /** What its values are; seeds are whole numbers of 64 bits, texts are several, intervals two shares. */
  readonly type: "integer" | "number" | "seed" | "text" | "texts" | "sampler" | "interval";
  /** The values that fit. */
  readonly range: (limits: ParameterLimits) => Range;
  /** The default of diffusers; undefined if there is none. */
  readonly default: number | undefined;
  /** A line for people, without the range and the default. */
  readonly help: string;
}

/** All parameters by their names in the library, in the order in which help lists them. */
export const GENERATION_PARAMETERS: Readonly<Record<ParameterName, GenerationParameter>> = {
  seed: {
    shortName: "seed",
    type: "seed",
    // The generator that is made of a seed checks it.
    range: () => ({}),
    default: undefined,
    help: "Seed: the same seed draws the same picture",
  },
  numInferenceSteps: {
    shortName: "steps",
    type: "integer",
    range: ({ numTrainTimesteps: max }) => ({ min: 1, max, why: "the timesteps of the training" }),
    default: 100,
    help: "Denoising steps",
  },
  sampler: {
    shortName: "sampler",
    type: "sampler",
    range: () => ({}),
    // The scheduler that the model comes with.
    default: undefined,
    help: "How steps are taken",
  },
  guidanceScale: {
    shortName: "guidance",
    type: "number",
    range: () => ({}),
    default: 5,
    help: "How closely to follow the prompt; 1 is no guidance",
  },
  guidanceInterval: {
    shortName: "guidance_interval",
    type: "interval",
    range: () => ({ min: 0, max: 1 }),
    default: undefined,
    help: "Guide only at these shares of the noise",
  },
  negativePrompt: {
    shortName: "negative",
    type: "text",
    range: () => ({}),
    default: undefined,
    help: "What not to draw, where there is guidance",
  },
  styles: {
    shortName: "styles",
    type: "texts",
    range: () => ({}),
    // There are none but a model's own.
    default: undefined,
    help: 'Styles, of which the seed chooses one where the prompt has none; or "none"',
  },
  truncationRate: {
    shortName: "truncation",
    type: "number",
    range: () => ({ min: 0, max: 1 }),
    default: 1,
    help: "Keep the likeliest tokens up to this sum of probabilities",
  },
  topK: {
    shortName: "top_k",
    type: "integer",
    range: () => ({ min: 1 }),
    default: undefined,
    help: "Keep at most so many tokens, the likeliest ones",
  },
  numImagesPerPrompt: {
    shortName: "images",
    type: "integer",
    range: () => ({ min: 1 }),
    default: 1,
    help: "Pictures of each prompt",
  },
  strength: {
    shortName: "strength",
    type: "number",
    range: () => ({ min: 0, max: 1 }),
    // It depends on whether there is a mask.
    default: undefined,
    help: "How much of the picture is drawn anew",
  },
};

/** Names of all parameters in the library. */
export const PARAMETER_NAMES: readonly ParameterName[] = Object.keys(
  GENERATION_PARAMETERS,
) as ParameterName[];

/** Names in the library by short names. */
export const LONG_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  PARAMETER_NAMES.map((name) => [GENERATION_PARAMETERS[name].shortName, name]),
);

/** Short names by names in the library. */
export const SHORT_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  PARAMETER_NAMES.map((name) => [name, GENERATION_PARAMETERS[name].shortName]),
);

/** What {@linkcode limitsOf} reads of a pipeline. */
export interface LimitingPipeline {
  /** The components of the pipeline. */
  readonly components: {
    /** Its scheduler, of any kind. */
    readonly scheduler: {
      readonly config: { readonly numTrainTimesteps: number };
      readonly fixedSteps?: number | undefined;
    };
    /** Its transformer, which says what it draws from. Default: from text. */
    readonly transformer?: {
      readonly config: Pick<Transformer2DConfig, "conditionType" | "unconditionalClass">;
    };
    /** The defaults of its model, if there are such. */
    readonly generationConfig?: ParameterLimits["defaults"];
  };
}

/** What the parameters of a pipeline's generations depend on. */
export function limitsOf({ components }: LimitingPipeline): ParameterLimits {
  const { scheduler, transformer, generationConfig: defaults } = components;
  const { conditionType = "text", unconditionalClass } = transformer?.config ?? {};
  const { config: { numTrainTimesteps }, fixedSteps } = scheduler;
  const limits = { numTrainTimesteps, fixedSteps };
  if (conditionType === "text") return { ...limits, defaults };
  // Microsoft's code guides by a class only if it is told to.
  const unguided = { ...defaults, guidanceScale: defaults?.guidanceScale ?? 1 };
  if (unconditionalClass !== undefined) return { ...limits, defaults: unguided };
  const why = conditionType === "none"
    ? "as the model is unconditional"
    : "as the model has no class that stands for none";
  return { ...limits, defaults: unguided, ranges: { guidanceScale: { min: 1, max: 1, why } } };
}

/** What parameters depend on where there is no prompt: guidance would have nothing to follow. */
export function unpromptedLimits<L extends ParameterLimits>(limits: L): L {
  return { ...limits, defaults: { ...limits.defaults, guidanceScale: 1 } };
}

/**
 * The styles that seeds choose from: what is given, or else the model's.
 *
 * @param isPictured Whether there is a picture to start from, which shows its own style.
 */
export function stylesOf(
  given: GenerationParameters["styles"],
  isPictured: boolean,
  { defaults }: Pick<ParameterLimits, "defaults">,
): readonly string[] {
  return given ?? (isPictured ? undefined : defaults?.styles) ?? [];
}

/** The values that fit a parameter: those of the table, as far as `limits.ranges` allows them. */
export function rangeOf(name: ParameterName, limits: ParameterLimits): Range {
  const range = GENERATION_PARAMETERS[name].range(limits);
  const narrower = limits.ranges?.[name] ?? {};
  const { max, why } = (narrower.max ?? Infinity) < (range.max ?? Infinity) ? narrower : range;
  return { min: Math.max(range.min ?? -Infinity, narrower.min ?? -Infinity), max, why };
}

/**
 * Checks the parameters of a generation, and fills in those that are not given: a model's default comes
 * first, then that of diffusers. A sampler, or else the model's scheduler, may say how many steps there are.
 *
 * @throws {TypeError} If one is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function checkParameters(
  given: GenerationParameters,
  limits: ParameterLimits,
): GenerationValues {
  for (const name of PARAMETER_NAMES) {
    checkParameter({ task: "generate", name }, name, given[name], limits);
  }
  const { numTrainTimesteps } = limits;
  const numInferenceSteps = given.sampler === undefined
    ? limits.fixedSteps
    : numTrainTimesteps && stepsOfSampler(given.sampler, numTrainTimesteps);
  const own = {
    ...limits,
    defaults: { ...limits.defaults, ...numInferenceSteps && { numInferenceSteps } },
  };
  const values = PARAMETER_NAMES.map((name) => [name, given[name] ?? defaultOf(name, own)]);
  return Object.fromEntries(values) as GenerationValues;
}

/**
 * Checks a parameter. Undefined passes.
 *
 * @param subject What it is called where it is given.
 * @throws {TypeError} If it is of the wrong type.
 * @throws {RangeError} If it is out of range.
 */
export function checkParameter(
  subject: Subject,
  name: ParameterName,
  value: unknown,
  limits: ParameterLimits,
): void {
  const range = rangeOf(name, limits);
  switch (GENERATION_PARAMETERS[name].type) {
    case "integer":
      return checkInteger(subject, value, range);
    case "number":
      return checkNumber(subject, value, range);
    case "text":
      return checkTexts(subject, value);
    case "texts":
      return checkStyles(subject, value);
    case "sampler":
      return checkSampler(subject, value);
    case "interval":
      return checkInterval(subject, value);
    case "seed":
  }
}

function checkTexts(subject: Subject, value: unknown): void {
  const isText = (one: unknown) => one === undefined || typeof one === "string";
  if (isText(value) || Array.isArray(value) && value.every((one) => typeof one === "string")) {
    return;
  }
  refuseType(subject, value, "a string or an array of strings");
}

function checkStyles(subject: Subject, value: unknown): void {
  if (value === undefined) return;
  if (!Array.isArray(value)) refuseType(subject, value, "an array of strings");
  const wrong = value.findIndex((one) => !isStyle(one));
  if (wrong < 0) return;
  refuseType({ ...subject, name: `${subject.name}[${wrong}]` }, value[wrong], A_STYLE);
}

function defaultOf(name: ParameterName, limits: ParameterLimits): number | undefined {
  const { styles: _, ...numbers } = limits.defaults ?? {};
  const defaults: Partial<Record<ParameterName, number | undefined>> = numbers;
  const value = defaults[name] ?? GENERATION_PARAMETERS[name].default;
  if (value === undefined) return undefined;
  const { min = -Infinity, max = Infinity } = rangeOf(name, limits);
  return Math.min(Math.max(value, min), max);
}
