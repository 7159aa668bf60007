/**
 * What a generation starts from.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import type { SamplingPlan } from "../schedulers/sampling_plan.ts";
import type { Scheduler } from "../schedulers/scheduler.ts";
import type { HeldTokens } from "./held_tokens.ts";
import type { Inpainting } from "./inpainting.ts";

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
