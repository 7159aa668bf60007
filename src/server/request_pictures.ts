/**
 * Pictures in requests.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import { readPicture } from "../images/read_picture.ts";
import { RequestError } from "./request_error.ts";

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
