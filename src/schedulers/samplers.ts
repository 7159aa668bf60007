/**
 * Samplers by name: a scheduler in a few characters, for command lines and requests.
 *
 * @module
 */

import { refuseRange, refuseType, type Subject } from "../base/check.ts";
import type { Scheduler, SchedulerConfig } from "./scheduler.ts";
import {
  TIMESTEP_SPACINGS,
  type TimestepSpacing,
  type VQDiffusionSchedulerConfig,
} from "./vq_diffusion_config.ts";
import { VQDiffusionFastScheduler } from "./vq_diffusion_fast_scheduler.ts";
import { VQDiffusionPurityScheduler } from "./vq_diffusion_purity_scheduler.ts";
import { VQDiffusionScheduler } from "./vq_diffusion_scheduler.ts";

/** What names there are, for error messages and help. */
export const SAMPLERS =
  '"leading", "strided", "cosine", "fast" or "fast:<speed>", "purity", "purity:<rule>" or "purity:<rule>:<weight>"';

/** Speed of `fast` alone. */
const SPEED = 4;

/** A number as people write it. */
const NUMBER = String.raw`\d{1,6}(?:\.\d{1,6})?`;
const FAST = new RegExp(`^fast(?::(${NUMBER}))?$`);
const PURITY = new RegExp(`^purity(?::([12])(?::(${NUMBER}))?)?$`);

/**
 * Checks the name of a sampler. Whether its numbers fit a model, {@linkcode namedScheduler} finds out.
 *
 * @throws {TypeError} If it is no text.
 * @throws {RangeError} If there is none of that name.
 */
export function checkSampler(subject: Subject, name: unknown): void {
  if (name === undefined) return;
  if (typeof name !== "string") refuseType(subject, name, `one of ${SAMPLERS}`);
  if (isSampler(name)) return;
  refuseRange(subject, name, SAMPLERS);
}

/** Whether a text is the name of a sampler. */
export function isSampler(name: string): boolean {
  return isSpacing(name) || FAST.test(name) || PURITY.test(name);
}

/**
 * Makes the scheduler of a name, on the noise schedules of another one.
 *
 * @param name `leading`, `strided` or `cosine`: `VQDiffusionScheduler` with that spacing. `fast:3`:
 *   `VQDiffusionFastScheduler` of that speed, 4 without a number. `purity:1:0.5`:
 *   `VQDiffusionPurityScheduler` of that rule and weight, 2 and 1 without numbers.
 * @throws {TypeError} If the config does not have the schedules of VQ-Diffusion.
 * @throws {RangeError} If there is no such sampler, or a number of it does not fit the config.
 */
export function namedScheduler(name: string, config: SchedulerConfig): Scheduler {
  const task = "generate";
  if (!isFull(config)) {
    throw new TypeError(`Cannot ${task}: sampler is given, expected a scheduler of VQ-Diffusion`);
  }
  if (isSpacing(name)) {
    return new VQDiffusionScheduler({ ...config, timestepSpacing: name });
  }
  const inferSpeed = speedOf(name);
  if (inferSpeed !== undefined) {
    const max = config.numTrainTimesteps;
    if (inferSpeed < 2 || inferSpeed > max) {
      refuseRange({ task, name: "sampler" }, name, `a speed from 2 to ${max}, the timesteps`);
    }
    return VQDiffusionFastScheduler.fromConfig(config, { inferSpeed });
  }
  const [isPurity, rule = 2, weight = 1] = PURITY.exec(name) ?? [];
  if (isPurity === undefined) refuseRange({ task, name: "sampler" }, name, SAMPLERS);
  return VQDiffusionPurityScheduler.fromConfig(config, {
    priorRule: Number(rule) === 1 ? 1 : 2,
    priorWeight: Number(weight),
  });
}

/**
 * The number of steps that a sampler takes if nothing else is asked for; undefined if it leaves that open.
 */
export function stepsOfSampler(name: string, numTrainTimesteps: number): number | undefined {
  const speed = speedOf(name);
  return speed && Math.ceil((numTrainTimesteps - 1) / Math.max(1, Math.floor(speed))) + 1;
}

function speedOf(name: string): number | undefined {
  const found = FAST.exec(name);
  return found === null ? undefined : Number(found[1] ?? SPEED);
}

function isSpacing(name: string): name is TimestepSpacing {
  return TIMESTEP_SPACINGS.some((spacing) => spacing === name);
}

function isFull(config: SchedulerConfig): config is VQDiffusionSchedulerConfig {
  return "gammaCumEnd" in config && "alphaCumEnd" in config;
}
