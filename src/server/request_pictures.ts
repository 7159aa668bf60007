/**
 * Pictures in requests.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import { readPicture } from "../images/read_picture.ts";
import { checkPictureOptions, type PictureOptions } from "../pipeline/picture_options.ts";
import { asRequestError, RequestError } from "./request_error.ts";
import type { PictureFiles } from "./request_parameters.ts";

/** What the pictures of a job depend on. */
export interface FitLimits {
  /** Side of the pictures that the model draws. */
  readonly side: number;
  /** Strength, if it is given. */
  readonly strength: number | undefined;
}

/** What the pictures of a request depend on. */
export interface PictureLimits extends FitLimits {
  /** The most pixels that are read. */
  readonly maxPixels: number;
}

/** The picture that a job starts from, and its mask, in any size. */
export interface StartingPictures {
  readonly image?: RasterImage | undefined;
  readonly maskImage?: RasterImage | undefined;
}

/**
 * Reads the pictures of a request, and makes them as small as they are drawn, so that they can wait.
 *
 * @throws {RequestError} If one is no picture or too large, or they do not fit each other.
 */
export async function picturesOf(
  { image, mask }: PictureFiles,
  { maxPixels, ...limits }: PictureLimits,
): Promise<PictureOptions> {
  const read = async (name: string, file: Uint8Array | undefined) =>
    file && await requestPicture(name, file, maxPixels);
  const given = { image: await read("image", image), maskImage: await read("mask", mask) };
  return await fitPictures(given, limits);
}

/**
 * Makes pictures as small as they are drawn, so that they can wait.
 *
 * @throws {RequestError} If they do not fit each other, or nothing of the mask is drawn.
 */
export async function fitPictures(
  { image, maskImage }: StartingPictures,
  { side, strength }: FitLimits,
): Promise<PictureOptions> {
  asRequestError(() => checkPictureOptions({ image, maskImage, strength }, 1));
  if (image === undefined) return {};
  const { fitted } = await import("../pipeline/fit_on_thread.ts");
  const picture = await fitted(image, "picture", side);
  if (maskImage === undefined) return { image: picture };
  try {
    return { image: picture, maskImage: await fitted(maskImage, "mask", side) };
  } catch (error) {
    return asRequestError(() => {
      throw error;
    });
  }
}

/**
 * Reads a picture that came with a request. Its size is checked before memory is taken for its pixels.
 *
 * @param name Name of the parameter.
 * @param maxPixels The most pixels that are read; each takes 4 bytes, and more while it is read.
 * @throws {RequestError} If it is no PNG or JPEG file, damaged, or has too many pixels.
 */
export async function requestPicture(
  name: string,
  file: Uint8Array,
  maxPixels: number,
): Promise<RasterImage> {
  try {
    return await readPicture(name, file, { maxPixels });
  } catch (error) {
    const { message } = error as Error;
    if (!message.startsWith("Cannot read")) throw error;
    if (error instanceof RangeError) throw new RequestError(413, message, {}, name);
    throw new RequestError(400, message, {}, name);
  }
}
