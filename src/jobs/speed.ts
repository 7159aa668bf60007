/**
 * How long jobs take, as measured.
 *
 * @module
 */

import type { JobRequest } from "./job.ts";

/** Share of the newest measurement in the estimate: about the last five runs count. */
const NEWEST = 0.3;

/** Several pictures in one run have to be so much faster that none has to wait much longer for the others. */
const FASTER = 0.9;

/** Runs of one picture after which one of several is tried again. */
const RUNS_TO_RETRY = 100;

/** Measures the seconds of a step of one picture, and estimates from them. */
export class Speed {
  readonly #all = new Mean();
  readonly #single = new Mean();
  #batch = new Mean();
  #singleRuns = 0;

  /**
   * Takes a measurement of a run.
   *
   * @param steps Steps of one picture, those of several counted singly.
   * @param pictures Pictures of the run; undefined if it is none that could have had others beside it.
   */
  measured(steps: number, seconds: number, pictures: number | undefined): void {
    if (steps === 0) return;
    const each = seconds / steps;
    this.#all.add(each);
    if (pictures === undefined) return;
    (pictures > 1 ? this.#batch : this.#single).add(each);
    this.#singleRuns = pictures > 1 ? 0 : this.#singleRuns + 1;
    if (this.#singleRuns < RUNS_TO_RETRY) return;
    this.#batch = new Mean();
    this.#singleRuns = 0;
  }

  /** Seconds of a number of steps; undefined as long as none was measured. */
  seconds(steps: number): number | undefined {
    return this.#all.value && this.#all.value * steps;
  }

  /** Whether several pictures are faster in one run than one after the other; yes as long as nobody knows. */
  get isBatchFaster(): boolean {
    const [batch, single] = [this.#batch.value, this.#single.value];
    return batch === undefined || single === undefined || batch < FASTER * single;
  }
}

/** A mean in which new values count more. */
class Mean {
  value: number | undefined;

  add(value: number): void {
    const mean = this.value ?? value;
    this.value = mean + NEWEST * (value - mean);
  }
}

/** Steps of a job, those of each picture counted singly; one with guidance asks the network twice. */
export function stepsOf({ values }: JobRequest): number {
  const calls = values.guidanceScale > 1 ? 2 : 1;
  return values.numInferenceSteps * values.numImagesPerPrompt * calls;
}
