/**
 * Starting from a picture: where it enters the steps, and its tokens. Loaded when there is one.
 *
 * @module
 */

import { evaluate } from "../backends/evaluate.ts";
import { needComponent } from "../conditioning/needed_component.ts";
import type { RasterImage } from "../images/raster_image.ts";
import type { VQModel } from "../models/vq_model.ts";
import type { SamplingPlan } from "../schedulers/sampling_plan.ts";
import { type ComponentUser, type PipelineParts, sideOf } from "./components.ts";
import { hold } from "./held_tokens.ts";
import type { InitialTokens, InitialTokensRequest, PictureStart } from "./starting_point.ts";
import { inpaintingOf } from "./inpainting.ts";
import type { PictureOptions } from "./picture_options.ts";

/** Strength where there is no mask, as in diffusers. */
const STRENGTH = 0.8;

/** A plan that starts from pictures. */
export interface PicturePlan {
  /** The steps that are left. */
  readonly plan: SamplingPlan;
  /** What they start from. */
  readonly picture: PictureStart;
}

/** Where a picture enters a plan. */
interface Entry {
  /** How much of the picture is drawn anew, from 0 to 1. */
  readonly strength: number;
  /** The steps that are left. */
  readonly plan: SamplingPlan;
  /** Timestep of the strength, ⌊T · strength⌋ − 1; below 0 if there is no noise at all. */
  readonly start: number;
}

/**
 * Finds where a picture enters a plan: at timestep ⌊T · strength⌋ − 1, as Microsoft's `filter_ratio`. Steps
 * from later timesteps are left out. A plan whose first timestep is earlier, as of a few leading ones, is kept.
 */
export function entryOf(
  plan: SamplingPlan,
  numTrainTimesteps: number,
  options: PictureOptions & { readonly strength?: number | undefined },
): Entry {
  const { maskImage, strength = maskImage === undefined ? STRENGTH : 1 } = options;
  const start = Math.floor(numTrainTimesteps * strength) - 1;
  return { plan: { ...plan, steps: stepsFrom(plan, start) }, start, strength };
}

/**
 * Fits pictures to the model, and finds where they enter a plan. They are noised to the timestep of the first
 * step that is left; a plan that is kept whole takes all noise for that of its first timestep.
 *
 * @throws {TypeError} If there is no `vqvae`.
 * @throws {RangeError} If the `vqvae` does not take colours, or no white of the mask is drawn.
 */
export async function startFromPicture(
  { vqvae, transformer, scheduler }: PipelineParts,
  plan: SamplingPlan,
  options: PictureOptions & { readonly strength?: number | undefined },
): Promise<PicturePlan> {
  const { image, maskImage } = options;
  const autoencoder = needComponent(vqvae, "vqvae", "an image");
  const { config } = autoencoder;
  if (config.inChannels !== 3) {
    throw new RangeError(
      `Cannot generate: the vqvae takes images of ${config.inChannels} channels, expected 3`,
    );
  }
  const { sampleSize } = transformer.config;
  const side = sideOf({ transformer, vqvae: autoencoder });
  const { fitted } = await import("./fit_on_thread.ts");
  const images = await Promise.all([image!].flat().map((one) => fitted(one, "picture", side)));
  const mask = maskImage && await fitted(maskImage, "mask", side);
  const inpainting = mask && inpaintingOf(images[0]!, mask, sampleSize);
  const { numTrainTimesteps } = scheduler.config;
  const { plan: left, start, strength } = entryOf(plan, numTrainTimesteps, options);
  const { steps } = left;
  const isWhole = steps.length === plan.steps.length;
  // Behind a mask nothing of the picture is wanted at full strength, not even a token in 10⁵.
  const nothing = inpainting !== undefined && strength === 1;
  const timestep = nothing ? undefined : isWhole ? start : steps[0]?.timestep;
  return { plan: left, picture: { images, timestep, inpainting } };
}

/** The steps of a plan from a timestep on: at least the last, unless there is no noise at all. */
function stepsFrom({ steps }: SamplingPlan, start: number): SamplingPlan["steps"] {
  if (start < 0) return [];
  const left = steps.filter(({ timestep }) => timestep <= start);
  return left.length > 0 ? left : steps.slice(-1);
}

/** A request that starts from a picture. */
type PictureRequest = InitialTokensRequest & { readonly picture: PictureStart };

/**
 * Encodes the picture, and noises it with the first numbers of the generator. Where nothing is kept of it, the
 * tokens are as without one, and so is the generator.
 */
export async function pictureTokens(
  session: ComponentUser,
  request: PictureRequest,
): Promise<InitialTokens> {
  const { picture, batch, pixels, scheduler, plan, generator, signal } = request;
  const { images, timestep, inpainting } = picture;
  const masked = () => new Int32Array(batch * pixels).fill(scheduler.maskClass);
  const isUnused = timestep === undefined && plan.steps.length > 0;
  if (isUnused && inpainting?.isDrawn.every((drawn) => drawn === 1)) {
    return { tokens: masked(), held: undefined };
  }
  const noise = await session.use(({ vqvae }) => {
    const encoder = needComponent(vqvae, "vqvae", "an image");
    return Promise.resolve(encoder.drawNoise({ batch, pixels }, generator));
  });
  const copies = batch / images.length;
  // Each image has tokens of its own where they are drawn.
  const pictures = noise === undefined ? images : images.flatMap((one) => Array(copies).fill(one));
  const encoded = await session.use(({ vqvae }) => encodeImages(vqvae, pictures, noise, signal));
  const times = batch / pictures.length;
  const original = Int32Array.from({ length: batch * pixels }, (_, i) => {
    return encoded[Math.floor(i / (times * pixels)) * pixels + i % pixels]!;
  });
  if (plan.steps.length === 0) return { tokens: original, held: undefined };
  const tokens = timestep === undefined
    ? masked()
    : scheduler.addNoise(original, timestep, { batch, pixels }, generator);
  const held = inpainting && { tokens: original, isDrawn: inpainting.isDrawn };
  if (held !== undefined) hold(tokens, held);
  return { tokens, held };
}

/** Encodes images of one size to tokens (images · pixels). */
export async function encodeImages(
  vqvae: VQModel | undefined,
  images: readonly RasterImage[],
  noise: Float32Array | undefined,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const encoder = needComponent(vqvae, "vqvae", "an image");
  const { width, height } = images[0]!;
  const values = new Float32Array(images.length * height * width * 3);
  images.forEach((image, i) => {
    // From 0 … 1 to −1 … 1, as the model takes them.
    values.set(image.toFloat32().map((value) => value * 2 - 1), i * height * width * 3);
  });
  using indices = evaluate(encoder.backend, (frame) => {
    const pixels = frame.empty([images.length, height, width, 3], "f32");
    pixels.write(values);
    return frame.keep(encoder.recordEncodeIndices(frame, pixels, noise));
  }, { signal });
  return await indices.data();
}
