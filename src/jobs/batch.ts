/**
 * Jobs that can be drawn in one run: each picture keeps its own prompt and random numbers, so that it is the
 * one that it would be alone.
 *
 * @module
 */

import { followingSeeds } from "../random/seed.ts";
import type { JobRequest } from "./job.ts";

/** What a run of several jobs draws. */
export interface BatchRequest {
  /** A prompt for each picture. */
  readonly prompts: readonly string[];
  /** A seed for each picture. */
  readonly seeds: readonly bigint[];
}

/**
 * What jobs have in common that can be drawn together: all parameters but seeds and numbers of pictures.
 * Undefined for a job that is drawn alone, as it starts from a picture.
 */
export function shapeOf({ prompt, picture, values }: JobRequest): string | undefined {
  if (prompt === undefined || picture?.image !== undefined) return undefined;
  const { seed: _, numImagesPerPrompt: __, ...others } = values;
  return JSON.stringify(Object.entries(others).sort(([a], [b]) => a < b ? -1 : 1));
}

/** Puts the pictures of jobs of one shape one after the other. */
export function batchOf(requests: readonly JobRequest[]): BatchRequest {
  return {
    prompts: requests.flatMap(({ prompt, values }) => {
      return Array<string>(values.numImagesPerPrompt).fill(prompt!);
    }),
    seeds: requests.flatMap(({ values }) => followingSeeds(values.seed, values.numImagesPerPrompt)),
  };
}
