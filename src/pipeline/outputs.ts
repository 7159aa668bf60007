/**
 * From tokens to the images of a result.
 *
 * @module
 */

import { evaluate } from "../backends/evaluate.ts";
import { needComponent } from "../conditioning/needed_component.ts";
import { RasterImage } from "../images/raster_image.ts";
import type { VQModel } from "../models/vq_model.ts";
import type { OutputType } from "./generate_options.ts";
import type { Inpainting } from "./inpainting.ts";

/** One image of a result, by output type. */
export interface OutputImage {
  /** An RGBA image. */
  readonly image: RasterImage;
  /** (height, width, 3) in 0 … 1. */
  readonly array: Float32Array;
  /** Tokens (pixels), row by row. */
  readonly tokens: Int32Array;
}

/** Result of a generation: the images of the first prompt, then those of the next. */
export interface ImagePipelineOutput<O extends OutputType = "image"> {
  /** One entry for each image. */
  readonly images: OutputImage[O][];
}

/** Decoded images. */
export interface DecodedImages {
  /** Rows of pixels of an image. */
  readonly height: number;
  /** Pixels of a row. */
  readonly width: number;
  /** (height, width, 3) in 0 … 1 for each image. */
  readonly arrays: Float32Array[];
}

/** Options of {@linkcode makeOutput}. */
export interface OutputOptions {
  /** The part of a picture that was repainted: the rest is put back. */
  readonly inpainting?: Inpainting | undefined;
  /** Stops the decoding. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Turns tokens (images · pixels) into images of a type.
 *
 * @param vqvae Decodes them; not needed for tokens.
 * @throws {TypeError} If it is missing.
 */
export async function makeOutput<O extends OutputType>(
  vqvae: VQModel | undefined,
  tokens: Int32Array,
  pixels: number,
  outputType: O,
  { inpainting, signal }: OutputOptions = {},
): Promise<OutputImage[O][]> {
  if (outputType === "tokens") {
    const images = Array.from({ length: tokens.length / pixels }, (_, i) => {
      return tokens.slice(i * pixels, (i + 1) * pixels);
    });
    return images as OutputImage[O][];
  }
  const decoder = needComponent(vqvae, "vqvae", `outputType "${outputType}"`);
  const { width, height, arrays } = await decodeTokens(decoder, tokens, pixels, signal);
  if (inpainting !== undefined) {
    const { paste } = await import("./inpainting.ts");
    arrays.forEach((array) => paste(array, inpainting));
  }
  if (outputType === "array") return arrays as OutputImage[O][];
  return arrays.map((array) => RasterImage.fromFloat32(array, width, height)) as OutputImage[O][];
}

/** Decodes tokens (images · pixels) to colours: diffusers' `(image / 2 + 0.5).clamp(0, 1)`. */
export async function decodeTokens(
  vqvae: VQModel,
  tokens: Int32Array,
  pixels: number,
  signal?: AbortSignal,
): Promise<DecodedImages> {
  const images = tokens.length / pixels;
  using decoded = evaluate(vqvae.backend, (frame) => {
    const indices = frame.empty([images, pixels], "i32");
    indices.write(tokens);
    return frame.keep(vqvae.recordDecodeIndices(frame, indices));
  }, { signal, portable: true });
  const values = await decoded.data();
  const [, height, width, channels] = decoded.shape as [number, number, number, number];
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.min(1, Math.max(0, values[i]! / 2 + 0.5));
  }
  const size = height * width * channels;
  const arrays = Array.from({ length: images }, (_, i) => values.slice(i * size, (i + 1) * size));
  return { height, width, arrays };
}

/**
 * Tokens that can be decoded before the end: each mask becomes the token that most of its image has, or
 * code 0 as long as all is masked.
 */
export function fillMasks(tokens: Int32Array, pixels: number, maskClass: number): Int32Array {
  const filled = tokens.slice();
  for (let first = 0; first < tokens.length; first += pixels) {
    const image = filled.subarray(first, first + pixels);
    const most = mostFrequent(image, maskClass);
    image.forEach((token, i) => {
      if (token === maskClass) image[i] = most;
    });
  }
  return filled;
}

function mostFrequent(tokens: Int32Array, except: number): number {
  const counts = new Map<number, number>();
  for (const token of tokens) {
    if (token !== except) counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  let most = 0;
  for (const [token, count] of counts) if (count > (counts.get(most) ?? 0)) most = token;
  return most;
}
