/**
 * What a generation starts from: masked tokens, given ones, or those of a picture.
 *
 * @module
 */

import { evaluate } from "../backends/evaluate.ts";
import { refuseRange, refuseType } from "../base/check.ts";
import { needComponent } from "../conditioning/needed_component.ts";
import { RasterImage } from "../images/raster_image.ts";
import type { VQModel } from "../models/vq_model.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import type { SamplingPlan } from "../schedulers/sampling_plan.ts";
import type { Scheduler } from "../schedulers/scheduler.ts";
import type { ComponentUser, PipelineParts } from "./components.ts";
import { hasWhite, type HeldTokens, hold, type Inpainting, inpaintingOf } from "./inpainting.ts";

/** The options that say what to start from. */
export interface PictureOptions {
  /**
   * Picture to start from, of any size: the largest square in its middle is taken, in the size that the
   * model draws. What is transparent becomes white. An array has one for each prompt.
   */
  readonly image?: RasterImage | readonly RasterImage[] | undefined;
  /** Which part of `image`, which is a single one, to repaint: what is white. Of the same size. */
  readonly maskImage?: RasterImage | undefined;
}

/** Pictures that a generation starts from. */
export interface PictureStart {
  /** One for all images, or one for each prompt, in the size that the model draws. */
  readonly images: readonly RasterImage[];
  /** Timestep up to which they are noised; undefined if nothing of them is to be left. */
  readonly timestep: number | undefined;
  /** What of the picture is repainted; undefined for all. */
  readonly inpainting: Inpainting | undefined;
}

/** What the first tokens of a generation depend on. */
export interface InitialTokensRequest {
  /** Tokens (images · pixels) to start from, if they are given. */
  readonly latents: Int32Array | undefined;
  /** The picture to start from, if there is one. */
  readonly picture: PictureStart | undefined;
  /** Number of images. */
  readonly batch: number;
  /** Tokens of an image. */
  readonly pixels: number;
  /** Takes the steps. */
  readonly scheduler: Scheduler;
  /** The steps to take. */
  readonly plan: SamplingPlan;
  /** Where the noise comes from. */
  readonly generator: RandomGenerator;
  /** Stops the generation. */
  readonly signal: AbortSignal | undefined;
}

/** Tokens that a generation starts from. */
export interface InitialTokens {
  /** The tokens (images · pixels). */
  readonly tokens: Int32Array;
  /** Those that stay; undefined if none do. */
  readonly held: HeldTokens | undefined;
}

/** Strength where there is no mask, as in diffusers. */
const STRENGTH = 0.8;

/** Options to check, and those that they go with or do not. */
interface OptionsAround extends PictureOptions {
  readonly strength?: number | undefined;
  readonly latents?: Int32Array | undefined;
}

/**
 * Checks the options that say what to start from, as far as that needs no model.
 *
 * @param prompts Number of prompts.
 * @throws {TypeError} If one is of the wrong type, or given without or beside another.
 * @throws {RangeError} If the number of pictures does not fit, or the mask is of another size or empty.
 */
export function checkPictureOptions(options: OptionsAround, prompts: number): void {
  const { image, maskImage, strength, latents } = options;
  const task = "generate";
  if (image === undefined) {
    const name = maskImage !== undefined ? "maskImage" : "strength";
    if (maskImage === undefined && strength === undefined) return;
    throw new TypeError(`Cannot generate: ${name} is given without image, expected both`);
  }
  if (latents !== undefined) {
    throw new TypeError("Cannot generate: latents and image are both given, expected one of them");
  }
  if (Array.isArray(image)) {
    image.forEach((one, i) => checkPicture(`image[${i}]`, one));
    if (image.length !== prompts) {
      const expected = `${prompts}, one for each prompt`;
      refuseRange({ task, name: "image.length" }, image.length, expected);
    }
  } else checkPicture("image", image);
  if (maskImage === undefined) return;
  checkPicture("maskImage", maskImage);
  if (!(image instanceof RasterImage)) {
    refuseType({ task, name: "image" }, image, "a single RasterImage beside maskImage");
  }
  if (maskImage.width !== image.width || maskImage.height !== image.height) {
    throw new RangeError(
      `Cannot generate: maskImage is ${maskImage.width} × ${maskImage.height} pixels, expected ` +
        `${image.width} × ${image.height} as the image`,
    );
  }
  if (!hasWhite(maskImage)) {
    throw new RangeError("Cannot generate: maskImage has no white, expected some where to repaint");
  }
}

function checkPicture(name: string, picture: unknown): void {
  if (picture instanceof RasterImage) return;
  refuseType({ task: "generate", name }, picture, "a RasterImage");
}

/** A plan that starts from pictures. */
export interface PicturePlan {
  /** The steps that are left. */
  readonly plan: SamplingPlan;
  /** What they start from. */
  readonly picture: PictureStart;
}

/**
 * Fits pictures to the model, and finds where they enter a plan: at timestep ⌊T · strength⌋ − 1, as
 * Microsoft's `filter_ratio`. Steps from later timesteps are left out, and the picture is noised to the
 * timestep of the first that is left. A plan whose first timestep is earlier, as of a few leading ones,
 * is kept: it takes all noise for that of its first timestep.
 *
 * @throws {TypeError} If there is no `vqvae`.
 * @throws {RangeError} If the `vqvae` does not take colours, or no white of the mask is drawn.
 */
export function startFromPicture(
  { vqvae, transformer, scheduler }: PipelineParts,
  plan: SamplingPlan,
  options: PictureOptions & { readonly strength?: number | undefined },
): PicturePlan {
  const { image, maskImage, strength = maskImage === undefined ? STRENGTH : 1 } = options;
  const { scaleFactor, config } = needComponent(vqvae, "vqvae", "an image");
  if (config.inChannels !== 3) {
    throw new RangeError(
      `Cannot generate: the vqvae takes images of ${config.inChannels} channels, expected 3`,
    );
  }
  const { sampleSize } = transformer.config;
  const side = sampleSize * scaleFactor;
  const images = [image!].flat().map((one) => one.resize(side, side, { fit: "cover" }));
  const inpainting = maskImage && inpaintingOf(images[0]!, maskImage, sampleSize);
  const start = Math.floor(scheduler.config.numTrainTimesteps * strength) - 1;
  const steps = stepsFrom(plan, start);
  const isWhole = steps.length === plan.steps.length;
  // Behind a mask nothing of the picture is wanted at full strength, not even a token in 10⁵.
  const nothing = inpainting !== undefined && strength === 1;
  const timestep = nothing ? undefined : isWhole ? start : steps[0]?.timestep;
  return { plan: { ...plan, steps }, picture: { images, timestep, inpainting } };
}

/** The steps of a plan from a timestep on: at least the last, unless there is no noise at all. */
function stepsFrom({ steps }: SamplingPlan, start: number): SamplingPlan["steps"] {
  if (start < 0) return [];
  const left = steps.filter(({ timestep }) => timestep <= start);
  return left.length > 0 ? left : steps.slice(-1);
}

/**
 * Makes the tokens that a generation starts from. A picture is encoded, and noised with the first
 * numbers of the generator.
 */
export async function initialTokens(
  session: ComponentUser,
  request: InitialTokensRequest,
): Promise<InitialTokens> {
  const { picture, batch, pixels, scheduler, plan, generator, signal } = request;
  const masked = () => new Int32Array(batch * pixels).fill(scheduler.maskClass);
  if (picture === undefined) return { tokens: request.latents ?? masked(), held: undefined };
  const { images, timestep, inpainting } = picture;
  const encoded = await session.use(({ vqvae }) => encodeImages(vqvae, images, signal));
  const copies = batch / images.length;
  const original = Int32Array.from({ length: batch * pixels }, (_, i) => {
    return encoded[Math.floor(i / (copies * pixels)) * pixels + i % pixels]!;
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
async function encodeImages(
  vqvae: VQModel | undefined,
  images: readonly RasterImage[],
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
    return frame.keep(encoder.recordEncodeIndices(frame, pixels));
  }, { signal });
  return await indices.data();
}
