/**
 * Config of the scheduler.
 *
 * @module
 */

import { type Config, integerField, numberField, stringField } from "../checkpoints/config.ts";
import type { NoiseScheduleOptions } from "./noise_schedules.ts";

/**
 * How a run of fewer steps than the training's T goes through its timesteps: `"leading"` takes the first
 * ones, as diffusers does; `"strided"` spreads the steps over all evenly; `"cosine"` does so with short
 * strides first, while most tokens are masked, and long ones in the end.
 */
export type TimestepSpacing = "leading" | "strided" | "cosine";

/** All spacings. */
export const TIMESTEP_SPACINGS: readonly TimestepSpacing[] = ["leading", "strided", "cosine"];

/**
 * Whose code a step repeats where the two differ: that of diffusers, or of Microsoft's ordinary sampler,
 * which guides at all scales but 1, clamps log p at −70 before the guidance too, and draws noise for the
 * mask in the last step as well.
 */
export type SamplingReference = "diffusers" | "microsoft";

/** Options of a `VQDiffusionScheduler`, by the names of diffusers. */
export interface VQDiffusionSchedulerOptions {
  /** Number of classes, the mask included. */
  readonly numVecClasses: number;
  /** Number of timesteps of the training. Default 100. */
  readonly numTrainTimesteps?: number | undefined;
  /** Probability that a token is kept up to timestep 0. Default 0.99999. */
  readonly alphaCumStart?: number | undefined;
  /** Probability that a token is kept up to the last timestep. Default 0.000009. */
  readonly alphaCumEnd?: number | undefined;
  /** Probability that a token is masked up to timestep 0. Default 0.000009. */
  readonly gammaCumStart?: number | undefined;
  /** Probability that a token is masked up to the last timestep. Default 0.99999. */
  readonly gammaCumEnd?: number | undefined;
  /** How fewer steps go through the timesteps. Default `"leading"`. */
  readonly timestepSpacing?: TimestepSpacing | undefined;
  /** Whose code a step repeats. Default `"diffusers"`. */
  readonly samplingReference?: SamplingReference | undefined;
}

/** Config of a `VQDiffusionScheduler`: its options, with defaults filled in. */
export interface VQDiffusionSchedulerConfig extends NoiseScheduleOptions {
  /** How fewer steps go through the timesteps. */
  readonly timestepSpacing: TimestepSpacing;
  /** Whose code a step repeats. */
  readonly samplingReference: SamplingReference;
  /** The config as it was read or, without one, as diffusers would write it. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** Names of the options in a config file. */
const KEYS = {
  numVecClasses: "num_vec_classes",
  numTrainTimesteps: "num_train_timesteps",
  alphaCumStart: "alpha_cum_start",
  alphaCumEnd: "alpha_cum_end",
  gammaCumStart: "gamma_cum_start",
  gammaCumEnd: "gamma_cum_end",
  timestepSpacing: "timestep_spacing",
  samplingReference: "sampling_reference",
} as const;

/** Defaults of the options; diffusers' where it has the option. */
const DEFAULTS = {
  numTrainTimesteps: 100,
  alphaCumStart: 0.99999,
  alphaCumEnd: 0.000009,
  gammaCumStart: 0.000009,
  gammaCumEnd: 0.99999,
  timestepSpacing: "leading",
  samplingReference: "diffusers",
} as const;

/** Options that diffusers does not have. */
const EXTRA: readonly string[] = ["timestepSpacing", "samplingReference"];

type OptionName = keyof typeof KEYS;
type Values = Omit<VQDiffusionSchedulerConfig, "json">;

/**
 * Checks the options of a scheduler, or a config of which some fields may have been replaced.
 *
 * @throws {TypeError} If an option is missing or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 */
export function schedulerConfig(
  options: VQDiffusionSchedulerOptions | VQDiffusionSchedulerConfig,
): VQDiffusionSchedulerConfig {
  const description = "the options of VQDiffusionScheduler";
  const checked = parse({ description, values: { ...options } }, (option) => option);
  const given = "json" in options ? options.json : undefined;
  return { ...checked, json: jsonOf(checked, given) };
}

/**
 * Checks the config file of a scheduler.
 *
 * @throws {TypeError} If a field is missing or of the wrong type.
 * @throws {RangeError} If a field is out of range.
 */
export function parseSchedulerConfig(config: Config): VQDiffusionSchedulerConfig {
  return { ...parse(config, (option) => KEYS[option]), json: config.values };
}

/**
 * Checks what schedulers are made of: the fields of a config file, or the config of another scheduler.
 *
 * @throws {TypeError} If a field is missing or of the wrong type.
 * @throws {RangeError} If a field is out of range.
 */
export function schedulerConfigOf(
  values: Readonly<Record<string, unknown>> | VQDiffusionSchedulerConfig,
  description = "the scheduler's config",
): VQDiffusionSchedulerConfig {
  return isChecked(values)
    ? schedulerConfig(values)
    : parseSchedulerConfig({ description, values });
}

function isChecked(
  values: Readonly<Record<string, unknown>> | VQDiffusionSchedulerConfig,
): values is VQDiffusionSchedulerConfig {
  return "numVecClasses" in values;
}

/** The config as a file has it: what is there, or all that diffusers writes, and what differs from that. */
function jsonOf(checked: Values, given?: Readonly<Record<string, unknown>>) {
  const json: Record<string, unknown> = given ? { ...given } : {
    _class_name: "VQDiffusionScheduler",
  };
  for (const [option, key] of Object.entries(KEYS) as [OptionName, string][]) {
    const defaults: Readonly<Partial<Record<OptionName, unknown>>> = DEFAULTS;
    const isExtra = given !== undefined || EXTRA.includes(option);
    if (isExtra && !(key in json) && checked[option] === defaults[option]) continue;
    json[key] = checked[option];
  }
  return json;
}

/** @param keyOf Name that an option has in the config. */
function parse(config: Config, keyOf: (option: OptionName) => string): Values {
  const probability = (
    option: Exclude<keyof typeof DEFAULTS, "timestepSpacing" | "samplingReference">,
  ) => numberField(config, keyOf(option), { min: 0, max: 1, default: DEFAULTS[option] });
  return {
    numVecClasses: integerField(config, keyOf("numVecClasses"), { min: 2 }),
    numTrainTimesteps: integerField(config, keyOf("numTrainTimesteps"), {
      min: 2,
      // A hundred times as many as any model has: tables of this length are made while loading.
      max: 10_000,
      default: DEFAULTS.numTrainTimesteps,
    }),
    alphaCumStart: probability("alphaCumStart"),
    alphaCumEnd: probability("alphaCumEnd"),
    gammaCumStart: probability("gammaCumStart"),
    gammaCumEnd: probability("gammaCumEnd"),
    timestepSpacing: stringField<TimestepSpacing>(config, keyOf("timestepSpacing"), {
      oneOf: TIMESTEP_SPACINGS,
      default: DEFAULTS.timestepSpacing,
    }),
    samplingReference: stringField<SamplingReference>(config, keyOf("samplingReference"), {
      oneOf: ["diffusers", "microsoft"],
      default: DEFAULTS.samplingReference,
    }),
  };
}
