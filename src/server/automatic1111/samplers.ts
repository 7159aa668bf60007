/**
 * The samplers by the names that clients of the web UI choose from.
 *
 * @module
 */

import { isSampler } from "../../schedulers/samplers.ts";

/** What a request's sampler is. */
export interface ChosenSampler {
  /** Its name in lists. */
  readonly name: string;
  /** Its name as a parameter; undefined for the scheduler that the model comes with. */
  readonly sampler: string | undefined;
  /** Steps; undefined if they follow from the sampler, or are the model's. */
  readonly steps: number | undefined;
}

/** The scheduler that the model comes with. */
const OWN = "VQ-Diffusion";

/** All names in lists: the model's own, then those of samplers as parameters have them. */
export const SAMPLER_NAMES: readonly string[] = [
  OWN,
  "Leading",
  "Strided",
  "Cosine",
  "Fast",
  "Purity",
];

/**
 * The sampler of a name: one in lists, or as a parameter has it, such as `purity:1:0.5`. What clients choose
 * as a habit, such as `Euler a`, is the model's own.
 *
 * @param steps Steps that are asked for. Those of the fast sampler follow from its speed: it is that of the
 *   nearest number.
 */
export function samplerOf(
  name: string | undefined,
  steps: number | undefined,
  numTrainTimesteps: number,
): ChosenSampler {
  // The settings in pictures have it as "VQ-Diffusion strided".
  const sampler = name?.toLowerCase().replace(/^vq-diffusion /, "");
  if (sampler === undefined || !isSampler(sampler)) return { name: OWN, sampler: undefined, steps };
  const listed = SAMPLER_NAMES.find((other) => other.toLowerCase() === sampler) ?? sampler;
  if (!sampler.startsWith("fast")) return { name: listed, sampler, steps };
  if (sampler !== "fast" || steps === undefined) return { name: listed, sampler, steps: undefined };
  const speed = Math.round((numTrainTimesteps - 1) / Math.max(1, steps - 1));
  const most = Math.min(Math.max(2, speed), numTrainTimesteps);
  return { name: listed, sampler: `fast:${most}`, steps: undefined };
}
