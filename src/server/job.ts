/**
 * The generation that a request asks for, and its answers.
 *
 * @module
 */

import { encodeBase64 } from "npm:deno-std@1.4.0/encoding/base64.js";
import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import type { StreamOptions } from "../pipeline/generate_options.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import type { SendEvent } from "./event_stream.ts";
import { RequestError } from "./request_error.ts";
import type { RequestParameters } from "./request_parameters.ts";

/** Steps of a request that does not say how many, as in diffusers. */
const DEFAULT_STEPS = 100;

/** A generation with all parameters filled in. */
export interface Job extends RequestParameters {
  readonly seed: bigint;
  readonly steps: number;
  /** Whether the same request always has the same answer. */
  readonly repeatable: boolean;
}

/**
 * Fills in what a request leaves open.
 *
 * @throws {RequestError} If it asks for more steps than the model has.
 */
export function jobOf(parameters: RequestParameters, maxSteps: number): Job {
  const { steps = Math.min(DEFAULT_STEPS, maxSteps), seed } = parameters;
  if (steps > maxSteps) {
    throw new RequestError(400, `steps is ${steps}, expected a whole number from 1 to ${maxSteps}`);
  }
  const drawn = BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
  return { ...parameters, steps, seed: seed ?? drawn, repeatable: seed !== undefined };
}

function generateOptions(job: Job, signal: AbortSignal): StreamOptions {
  return {
    numInferenceSteps: job.steps,
    numImagesPerPrompt: job.images,
    seed: job.seed,
    signal,
    ...(job.guidance !== undefined && { guidanceScale: job.guidance }),
    ...(job.truncation !== undefined && { truncationRate: job.truncation }),
  };
}

/** Draws the images as one PNG file. */
export async function pngResponse(
  pipe: VQDiffusionPipeline,
  job: Job,
  signal: AbortSignal,
): Promise<Response> {
  const { images } = await pipe.generate(job.prompt, generateOptions(job, signal));
  const image = images.length === 1 ? images[0]! : contactSheet(images);
  return new Response(await image.toPng(), {
    headers: {
      "content-type": "image/png",
      "x-seed": `${job.seed}`,
      "vary": "accept",
      ...(!job.repeatable && { "cache-control": "no-store" }),
    },
  });
}

/** Draws the images and tells of every step. */
export async function sendEvents(
  pipe: VQDiffusionPipeline,
  job: Job,
  signal: AbortSignal,
  send: SendEvent,
): Promise<void> {
  let images: RasterImage[] = [];
  for await (const event of pipe.stream(job.prompt, generateOptions(job, signal))) {
    const { step, steps, timestep } = event;
    const isLast = step === steps;
    if (isLast) images = await event.preview();
    const previews = job.previews > 0 && !isLast && step % job.previews === 0
      ? await base64Files(await event.preview())
      : undefined;
    send("step", { step, steps, timestep, previews });
  }
  send("result", { seed: `${job.seed}`, images: await base64Files(images) });
}

async function base64Files(images: readonly RasterImage[]): Promise<string[]> {
  return await Promise.all(images.map(async (image) => encodeBase64(await image.toPng())));
}
