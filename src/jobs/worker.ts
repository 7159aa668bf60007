/**
 * What draws the jobs of a queue.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import type { StreamEvent, VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { batchOf } from "./batch.ts";
import { isOver, type Job, type Preview } from "./job.ts";
import type { JobQueue } from "./queue.ts";

/** Options of {@linkcode runWorker}. */
export interface WorkerOptions {
  /** The most pictures of a run of several jobs. Default: jobs are drawn one after the other. */
  readonly maxBatch?: number | undefined;
}

/**
 * Draws jobs until the queue is closed: those of one shape together where that is faster, else one after the
 * other. What goes wrong is the state of its job, and the next job is drawn.
 */
export async function runWorker(
  pipe: VQDiffusionPipeline,
  queue: JobQueue,
  { maxBatch = 1 }: WorkerOptions = {},
): Promise<void> {
  for (let job = await queue.take(); job; job = await queue.take()) {
    const jobs = [job, ...queue.takeAlike(job, maxBatch)];
    await draw(pipe, jobs);
    queue.finish(jobs);
  }
}

/** Draws jobs of one shape. What goes wrong is the state of its job. */
export async function draw(pipe: VQDiffusionPipeline, jobs: readonly Job[]): Promise<void> {
  const [job] = jobs;
  try {
    if (jobs.length === 1) await drawOne(pipe, job!);
    else await drawTogether(pipe, jobs);
  } catch (error) {
    if (jobs.length === 1) return job!.report({ status: "failed", error });
    // It may be the fault of one of them, or of their number.
    for (const one of jobs) if (!isOver(one.state)) await draw(pipe, [one]);
  }
}

async function drawOne(pipe: VQDiffusionPipeline, job: Job): Promise<void> {
  const { signal, request: { prompt, picture, values } } = job;
  const options = { ...values, ...picture, signal };
  const pictures = new Pictures(job, 0);
  for await (const event of pipe.stream(prompt, options)) await pictures.report(event);
  if (isOver(job.state)) return;
  // There was no step to take.
  job.report({ status: "done", images: (await pipe.generate(prompt, options)).images });
}

/** Draws jobs of one shape in one run, which ends when all of them are given up. */
async function drawTogether(pipe: VQDiffusionPipeline, jobs: readonly Job[]): Promise<void> {
  const { prompts, seeds } = batchOf(jobs.map(({ request }) => request));
  const left = new AbortController();
  const leave = () => {
    if (jobs.every(({ signal }) => signal.aborted)) left.abort();
  };
  for (const { signal } of jobs) signal.addEventListener("abort", leave);
  leave();
  let count = 0;
  const all = jobs.map((job) => {
    const pictures = new Pictures(job, count);
    count += job.request.values.numImagesPerPrompt;
    return pictures;
  });
  const { values } = jobs[0]!.request;
  const options = { ...values, seed: seeds, numImagesPerPrompt: 1, signal: left.signal };
  try {
    for await (const event of pipe.stream(prompts, options)) {
      // Decoded once for all that want to see them.
      let decoded: Promise<RasterImage[]> | undefined;
      const preview = () => decoded ??= event.preview();
      for (const pictures of all) await pictures.report({ ...event, preview });
    }
  } finally {
    for (const { signal } of jobs) signal.removeEventListener("abort", leave);
  }
}

/** The pictures of a job in a run. */
class Pictures {
  readonly #job: Job;
  readonly #start: number;
  #preview: Preview | undefined;

  /** @param start Number of the first of them in the run. */
  constructor(job: Job, start: number) {
    this.#job = job;
    this.#start = start;
  }

  /** Reports a step: the pictures if it is the last, or else how far they are. */
  async report({ step, steps, preview }: StreamEvent): Promise<void> {
    const { state, request: { previewSteps } } = this.#job;
    if (isOver(state)) return;
    if (step === steps) {
      return this.#job.report({ status: "done", images: await this.#images(preview) });
    }
    if (previewSteps > 0 && step % previewSteps === 0) {
      this.#preview = { step, images: await this.#images(preview) };
    }
    this.#job.report({ status: "running", step, steps, preview: this.#preview });
  }

  async #images(preview: StreamEvent["preview"]): Promise<RasterImage[]> {
    const { numImagesPerPrompt } = this.#job.request.values;
    return (await preview()).slice(this.#start, this.#start + numImagesPerPrompt);
  }
}
