/**
 * The parameters of a generation: their names, types, ranges, defaults and help, for the library, the
 * command line and HTTP. A new one is a field of {@linkcode GenerationParameters}, an entry of
 * {@linkcode GENERATION_PARAMETERS}, and its use.
 *
 * @module
 */

import { checkInteger, checkNumber, type Range, type Subject } from "../base/check.ts";
import type { Transformer2DConfig } from "../models/transformer_2d_config.ts";
import type { Seed } from "../random/seed.ts";

/**
 * Parameters of a generation, by the names of diffusers' `__call__`. A model's `generation_config.json`
 * may have other defaults for steps, guidance and truncation.
 */
export interface GenerationParameters {
  /** Seed of the first image; the next have the following ones. Or a list. Default: a random seed. */
  readonly seed?: Seed | readonly Seed[] | undefined;
  /** Denoising steps, at timesteps that the scheduler chooses. Default 100, or all. */
  readonly numInferenceSteps?: number | undefined;
  /**
   * Scale of classifier-free guidance; there is none at 1 and, as in diffusers, below.
   * Default 5, but 1 for models that do not draw from text.
   */
  readonly guidanceScale?: number | undefined;
  /** Keeps the most probable tokens up to this sum of probabilities, 0 … 1. Default 1. */
  readonly truncationRate?: number | undefined;
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
type OpenParameter = "seed" | "strength";

/** The values of a generation: what is not given is filled in, as far as there are defaults. */
export type GenerationValues =
  & { readonly [N in Exclude<ParameterName, OpenParameter>]: NonNullable<GenerationParameters[N]> }
  & Pick<GenerationParameters, OpenParameter>;

/** What the ranges and the defaults of parameters depend on. */
export interface ParameterLimits {
  /** Timesteps of the model's training; undefined as long as there is no model. */
  readonly numTrainTimesteps?: number | undefined;
  /** Defaults of a model, which come before those of diffusers. How many images is not its to say. */
  readonly defaults?: Omit<GenerationParameters, OpenParameter | "numImagesPerPrompt"> | undefined;
  /** Narrower ranges than the table's. Defaults are moved into them. */
  readonly ranges?: Readonly<Partial<Record<ParameterName, Range>>> | undefined;
}

/** What there is to know about a parameter. */
export interface GenerationParameter {
  /** Name on the command line (`--steps`) and in HTTP requests (`steps`). */
  readonly shortName: string;
  /** What its values are; seeds are whole numbers of 64 bits. */
  readonly type: "integer" | "number" | "seed";
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
  guidanceScale: {
    shortName: "guidance",
    type: "number",
    range: () => ({}),
    default: 5,
    help: "How closely to follow the prompt; 1 is no guidance",
  },
  truncationRate: {
    shortName: "truncation",
    type: "number",
    range: () => ({ min: 0, max: 1 }),
    default: 1,
    help: "Keep the likeliest tokens up to this sum of probabilities",
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

/** Names of those that need nothing beside a prompt. */
export const PROMPT_PARAMETER_NAMES: readonly ParameterName[] = PARAMETER_NAMES.filter(
  (name) => name !== "strength",
);

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
    readonly scheduler: { readonly config: { readonly numTrainTimesteps: number } };
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
  const limits = { numTrainTimesteps: scheduler.config.numTrainTimesteps };
  if (conditionType === "text") return { ...limits, defaults };
  // Microsoft's code guides by a class only if it is told to.
  const unguided = { ...defaults, guidanceScale: defaults?.guidanceScale ?? 1 };
  if (unconditionalClass !== undefined) return { ...limits, defaults: unguided };
  const why = conditionType === "none"
    ? "as the model is unconditional"
    : "as the model has no class that stands for none";
  return { ...limits, defaults: unguided, ranges: { guidanceScale: { min: 1, max: 1, why } } };
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
 * first, then that of diffusers.
 *
 * @throws {TypeError} If one is not a number.
 * @throws {RangeError} If one is out of range.
 */
export function checkParameters(
  given: GenerationParameters,
  limits: ParameterLimits,
): GenerationValues {
  const values = PARAMETER_NAMES.map((name) => {
    const value = given[name];
    if (value === undefined) return [name, defaultOf(name, limits)];
    checkParameter({ task: "generate", name }, name, value, limits);
    return [name, value];
  });
  return Object.fromEntries(values) as GenerationValues;
}

/**
 * Checks a parameter. Undefined passes.
 *
 * @param subject What it is called where it is given.
 * @throws {TypeError} If it is not a number.
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
    case "seed":
  }
}

function defaultOf(name: ParameterName, limits: ParameterLimits): number | undefined {
  const defaults: Partial<Record<ParameterName, number | undefined>> = limits.defaults ?? {};
  const value = defaults[name] ?? GENERATION_PARAMETERS[name].default;
  if (value === undefined) return undefined;
  const { min = -Infinity, max = Infinity } = rangeOf(name, limits);
  return Math.min(Math.max(value, min), max);
}
