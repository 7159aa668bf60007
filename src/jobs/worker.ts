/**
 * What draws the jobs of a queue.
 *
 * @module
 */

import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { isOver, type Job, type Preview } from "./job.ts";
import type { JobQueue } from "./queue.ts";

/**
 * Draws jobs, one after the other, until the queue is closed. What goes wrong is the state of its job, and
 * the next job is drawn.
 */
export async function runWorker(pipe: VQDiffusionPipeline, queue: JobQueue): Promise<void> {
  for (let job = await queue.take(); job; job = await queue.take()) {
    await draw(pipe, job);
    queue.finish(job);
  }
}

async function draw(pipe: VQDiffusionPipeline, job: Job): Promise<void> {
  const { signal, request: { prompt, picture, values, previewSteps } } = job;
  const options = { ...values, ...picture, signal };
  try {
    let preview: Preview | undefined;
    for await (const event of pipe.stream(prompt, options)) {
      const { step, steps } = event;
      if (step === steps) {
        const images = await event.preview();
        job.report({ status: "done", images });
      } else {
        if (previewSteps > 0 && step % previewSteps === 0) {
          preview = { step, images: await event.preview() };
        }
        job.report({ status: "running", step, steps, preview });
      }
    }
    // At strength 0 there are no steps.
    if (!isOver(job.state)) {
      const { images } = await pipe.generate(prompt, options);
      job.report({ status: "done", images });
    }
  } catch (error) {
    job.report({ status: "failed", error });
  }
}
