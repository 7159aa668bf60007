/**
 * How long jobs take, as measured.
 *
 * @module
 */

import { type GenerationWork, generationWork } from "../pipeline/generation_work.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import type { JobRequest } from "./job.ts";

/** Share of the newest measurement in the estimate: about the last five runs count. */
const NEWEST = 0.3;

/** Several pictures in one run have to be so much faster that none has to wait much longer for the others. */
const FASTER = 0.9;

/** Runs of one picture after which one of several is tried again. */
const RUNS_TO_RETRY = 100;

/** Measures the seconds of a call of the network for one picture, and estimates from them. */
export class Speed {
  readonly #all = new Mean();
  readonly #single = new Mean();
  #batch = new Mean();
  #singleRuns = 0;

  /**
   * Takes a measurement of a run.
   *
   * @param calls Calls of the network, those for each picture counted singly.
   * @param pictures Pictures of the run; undefined if it is none that could have had others beside it.
   */
  measured(calls: number, seconds: number, pictures: number | undefined): void {
    if (calls === 0) return;
    const each = seconds / calls;
    this.#all.add(each);
    if (pictures === undefined) return;
    (pictures > 1 ? this.#batch : this.#single).add(each);
    this.#singleRuns = pictures > 1 ? 0 : this.#singleRuns + 1;
    if (this.#singleRuns < RUNS_TO_RETRY) return;
    this.#batch = new Mean();
    this.#singleRuns = 0;
  }

  /** Seconds of a number of calls; undefined as long as none was measured. */
  seconds(calls: number): number | undefined {
    return this.#all.value && this.#all.value * calls;
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

/** Tells what the pictures of a job take. */
export type WorkOf = (request: JobRequest) => GenerationWork;

/** Tells what the pictures of a job take that a pipeline draws. */
export function workOf(
  { components }: VQDiffusionPipeline,
  { prompt, picture, values }: JobRequest,
): GenerationWork {
  return generationWork(components, prompt, { ...values, ...picture });
}

/** Tells the same, and finds it out once for each request. */
export function remembered(workOf: WorkOf): WorkOf {
  const known = new WeakMap<JobRequest, GenerationWork>();
  return (request) => {
    const work = known.get(request) ?? workOf(request);
    known.set(request, work);
    return work;
  };
}
