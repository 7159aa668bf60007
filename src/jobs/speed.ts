/**
 * How long jobs take, as measured.
 *
 * @module
 */

import type { JobRequest } from "./job.ts";

/** Share of the newest measurement in the estimate: about the last five jobs count. */
const NEWEST = 0.3;

/** Measures the seconds of a step of one picture, and estimates from them. */
export class Speed {
  #secondsPerStep: number | undefined;

  /** Takes a measurement: steps of one picture, those of several counted singly, and their seconds. */
  measured(steps: number, seconds: number): void {
    if (steps === 0) return;
    const last = seconds / steps;
    const mean = this.#secondsPerStep ?? last;
    this.#secondsPerStep = mean + NEWEST * (last - mean);
  }

  /** Seconds of a number of steps; undefined as long as none was measured. */
  seconds(steps: number): number | undefined {
    return this.#secondsPerStep === undefined ? undefined : steps * this.#secondsPerStep;
  }
}

/** Steps of a job, those of each picture counted singly. */
export function stepsOf({ values }: JobRequest): number {
  return values.numInferenceSteps * values.numImagesPerPrompt;
}
