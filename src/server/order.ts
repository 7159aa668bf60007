/**
 * The generation that a request asks for, and its answers.
 *
 * @module
 */

import { styledPrompt } from "../conditioning/styles.ts";
import { contactSheet } from "../images/contact_sheet.ts";
import type { RasterImage } from "../images/raster_image.ts";
import {
  checkParameters,
  type GenerationValues,
  type ParameterLimits,
  stylesOf,
  unpromptedLimits,
} from "../pipeline/generation_parameters.ts";
import type { PictureOptions } from "../pipeline/picture_options.ts";
import { inputOf, type PictureSubject } from "../pipeline/picture_subject.ts";
import type { VQDiffusionPipeline } from "../pipeline/vq_diffusion_pipeline.ts";
import { followingSeeds, randomSeed } from "../random/seed.ts";
import { base64Files } from "./base64_files.ts";
import type { SendEvent } from "./event_stream.ts";
import { asRequestError } from "./request_error.ts";
import { generationParameters, type RequestParameters } from "./request_parameters.ts";

/** What a request asks for: a generation with all parameters filled in. */
export interface Order extends PictureSubject {
  /** The picture to start from and its mask. Default: none. */
  readonly picture?: PictureOptions | undefined;
  /** Parameters of the generation. */
  readonly values: GenerationValues & { readonly seed: bigint };
  /** Steps from one preview to the next; 0 for none. */
  readonly previews: number;
  /** Whether the same request always has the same answer. */
  readonly repeatable: boolean;
}

/** What {@linkcode orderOf} needs of a request. */
export interface OrderParameters extends Omit<RequestParameters, "files"> {
  /** Whether there is a picture to start from. */
  readonly isPictured: boolean;
}

/**
 * Fills in what a request leaves open.
 *
 * @param limits What the model and the handler allow.
 * @throws {RequestError} If it asks for more than the model has.
 */
export function orderOf(
  { prompt, classLabel, isPictured, previews, values }: OrderParameters,
  limits: ParameterLimits,
): Order {
  const parameters = generationParameters(values, limits);
  const { seed = randomSeed() } = parameters;
  const repeatable = parameters.seed !== undefined;
  const own = (prompt ?? classLabel) === undefined ? unpromptedLimits(limits) : limits;
  const styles = stylesOf(parameters.styles, isPictured, limits);
  const checked = { ...checkParameters(parameters, own), styles, seed };
  return { prompt, classLabel, previews, values: checked, repeatable };
}

/** The prompt of each picture as it was drawn; undefined if there was none. */
export function drawnPrompts(
  { prompt, values }: Pick<Order, "prompt" | "values">,
  count: number,
): string[] | undefined {
  if (prompt === undefined) return undefined;
  const seeds = followingSeeds(values.seed, count);
  return seeds.map((seed) => styledPrompt(prompt, seed, values.styles));
}

/** Steps from one preview to the next for about so many of them; 0 for none. */
export function previewStepsOf(
  { numInferenceSteps, strength = 1 }: GenerationValues,
  previews: number,
): number {
  if (previews === 0) return 0;
  // From a picture only the steps below its noise are taken.
  return Math.max(1, Math.floor(numInferenceSteps * strength / (previews + 1)));
}

/**
 * Checks what depends on several parameters, as the pipeline does.
 *
 * @throws {RequestError} If the pipeline would refuse it.
 */
export function checkOrder(
  pipe: VQDiffusionPipeline,
  order: Pick<Order, "prompt" | "classLabel" | "picture" | "values">,
): void {
  const { picture, values } = order;
  // It checks all arguments when it is called, and does nothing before it is asked for an event.
  const events = asRequestError(() => pipe.stream(inputOf([order]), { ...values, ...picture }));
  events.return();
}

/** Draws the images as one PNG file. */
export async function pngResponse(
  pipe: VQDiffusionPipeline,
  order: Order,
  signal: AbortSignal,
): Promise<Response> {
  const options = { ...order.values, ...order.picture, signal };
  const { images } = await pipe.generate(inputOf([order]), options);
  const image = images.length === 1 ? images[0]! : contactSheet(images);
  return new Response(await image.toPng(), {
    headers: {
      "content-type": "image/png",
      "x-seed": `${order.values.seed}`,
      "vary": "accept",
      ...(!order.repeatable && { "cache-control": "no-store" }),
    },
  });
}

/** Draws the images and reports every step, the first being 1. */
export async function sendEvents(
  pipe: VQDiffusionPipeline,
  order: Order,
  signal: AbortSignal,
  send: SendEvent,
): Promise<void> {
  const options = { ...order.values, ...order.picture, signal };
  let images: readonly RasterImage[] | undefined;
  for await (const event of pipe.stream(inputOf([order]), options)) {
    const { step, steps, timestep } = event;
    const isLast = step === steps;
    if (isLast) images = await event.preview();
    const previews = order.previews > 0 && !isLast && step % order.previews === 0
      ? await base64Files(await event.preview())
      : undefined;
    send("step", { step, steps, timestep, previews });
  }
  // At strength 0 there are no steps.
  images ??= (await pipe.generate(inputOf([order]), options)).images;
  const { seed } = order.values;
  const prompts = drawnPrompts(order, images.length);
  send("result", { seed: `${seed}`, prompts, images: await base64Files(images) });
}
