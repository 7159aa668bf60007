/**
 * The generation that a request asks for, and its answers.
 *
 * @module
 */

import { encodeBase64 } from "../base/base64.ts";
import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import {
  checkParameters,
  type GenerationValues,
  type ParameterLimits,
} from "../pipeline/generation_parameters.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { randomSeed } from "../random/seed.ts";
import type { SendEvent } from "./event_stream.ts";
import {
  generationParameters,
  inputOf,
  type RequestParameters,
  type RequestSubject,
} from "./request_parameters.ts";

/** A generation with all parameters filled in. */
export interface Job extends RequestSubject {
  /** Parameters of the generation. */
  readonly values: GenerationValues & { readonly seed: bigint };
  /** Steps from one preview to the next; 0 for none. */
  readonly previews: number;
  /** Whether the same request always has the same answer. */
  readonly repeatable: boolean;
}

/**
 * Fills in what a request leaves open.
 *
 * @param limits What the model and the handler allow.
 * @throws {RequestError} If it asks for more than the model has.
 */
export function jobOf(
  { previews, values, ...subject }: RequestParameters,
  limits: ParameterLimits,
): Job {
  const parameters = generationParameters(values, limits);
  const { seed = randomSeed() } = parameters;
  const repeatable = parameters.seed !== undefined;
  const { prompt, classLabel } = subject;
  const checked = { ...checkParameters(parameters, limits), seed };
  return { prompt, classLabel, previews, values: checked, repeatable };
}

/** Draws the images as one PNG file. */
export async function pngResponse(
  pipe: VQDiffusionPipeline,
  job: Job,
  signal: AbortSignal,
): Promise<Response> {
  const { images } = await pipe.generate(inputOf(job), { ...job.values, signal });
  const image = images.length === 1 ? images[0]! : contactSheet(images);
  return new Response(await image.toPng(), {
    headers: {
      "content-type": "image/png",
      "x-seed": `${job.values.seed}`,
      "vary": "accept",
      ...(!job.repeatable && { "cache-control": "no-store" }),
    },
  });
}

/** Draws the images and reports every step, the first being 1. */
export async function sendEvents(
  pipe: VQDiffusionPipeline,
  job: Job,
  signal: AbortSignal,
  send: SendEvent,
): Promise<void> {
  let images: RasterImage[] = [];
  for await (const event of pipe.stream(inputOf(job), { ...job.values, signal })) {
    const { step, steps, timestep } = event;
    const isLast = step === steps;
    if (isLast) images = await event.preview();
    const previews = job.previews > 0 && !isLast && step % job.previews === 0
      ? await base64Files(await event.preview())
      : undefined;
    send("step", { step, steps, timestep, previews });
  }
  send("result", { seed: `${job.values.seed}`, images: await base64Files(images) });
}

async function base64Files(images: readonly RasterImage[]): Promise<string[]> {
  return await Promise.all(images.map(async (image) => encodeBase64(await image.toPng())));
}
