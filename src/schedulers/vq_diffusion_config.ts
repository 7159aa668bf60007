/**
 * Config of the scheduler.
 *
 * @module
 */

import { type Config, integerField, numberField } from "../checkpoints/config.ts";
import type { NoiseScheduleOptions } from "./noise_schedules.ts";

/** Options of a `VQDiffusionScheduler`, by the names of diffusers. */
export interface VQDiffusionSchedulerOptions {
  /** Number of classes, the mask included. */
  readonly numVecClasses: number;
  /** Number of timesteps of the training. Default 100. */
  readonly numTrainTimesteps?: number;
  /** Probability that a token is kept up to timestep 0. Default 0.99999. */
  readonly alphaCumStart?: number;
  /** Probability that a token is kept up to the last timestep. Default 0.000009. */
  readonly alphaCumEnd?: number;
  /** Probability that a token is masked up to timestep 0. Default 0.000009. */
  readonly gammaCumStart?: number;
  /** Probability that a token is masked up to the last timestep. Default 0.99999. */
  readonly gammaCumEnd?: number;
}

/** Config of a `VQDiffusionScheduler`: its options, with defaults filled in. */
export interface VQDiffusionSchedulerConfig extends NoiseScheduleOptions {
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
} as const;

/**
 * Checks the options of a scheduler.
 *
 * @throws {TypeError} If an option is missing or not a number.
 * @throws {RangeError} If an option is out of range.
 */
export function schedulerConfig(options: VQDiffusionSchedulerOptions): VQDiffusionSchedulerConfig {
  const description = "the options of VQDiffusionScheduler";
  const checked = parse({ description, values: { ...options } }, (option) => option);
  const fields = Object.entries(KEYS).map((
    [option, key],
  ) => [key, checked[option as keyof typeof KEYS]]);
  const json = { _class_name: "VQDiffusionScheduler", ...Object.fromEntries(fields) };
  return { ...checked, json };
}

/**
 * Checks the config file of a scheduler.
 *
 * @throws {TypeError} If a field is missing or not a number.
 * @throws {RangeError} If a field is out of range.
 */
export function parseSchedulerConfig(config: Config): VQDiffusionSchedulerConfig {
  return { ...parse(config, (option) => KEYS[option]), json: config.values };
}

/** @param keyOf Name that an option has in the config. */
function parse(config: Config, keyOf: (option: keyof typeof KEYS) => string): NoiseScheduleOptions {
  const probability = (option: keyof typeof KEYS, byDefault: number) =>
    numberField(config, keyOf(option), { min: 0, max: 1, default: byDefault });
  return {
    numVecClasses: integerField(config, keyOf("numVecClasses"), { min: 2 }),
    numTrainTimesteps: integerField(config, keyOf("numTrainTimesteps"), {
      min: 2,
      // A hundred times as many as any model has: tables of this length are made while loading.
      max: 10_000,
      default: 100,
    }),
    alphaCumStart: probability("alphaCumStart", 0.99999),
    alphaCumEnd: probability("alphaCumEnd", 0.000009),
    gammaCumStart: probability("gammaCumStart", 0.000009),
    gammaCumEnd: probability("gammaCumEnd", 0.99999),
  };
}
