/**
 * Picture files that somebody else chose: errors say which one is wrong.
 *
 * @module
 */

import type { ImageDecodeOptions } from "./decode_image.ts";
import { RasterImage } from "./raster_image.ts";

/**
 * Reads a picture file, as `RasterImage.decode` does.
 *
 * @param name What errors call it, such as its path.
 * @throws {SyntaxError} If it is neither PNG nor JPEG, or damaged.
 * @throws {TypeError} If it is of a kind that is not read.
 * @throws {RangeError} If it has too many pixels.
 */
export async function readPicture(
  name: string,
  file: Uint8Array,
  options: ImageDecodeOptions = {},
): Promise<RasterImage> {
  try {
    return await RasterImage.decode(file, options);
  } catch (error) {
    const named = [SyntaxError, TypeError, RangeError].find((type) => error instanceof type);
    if (named === undefined) throw error;
    const { message } = error as Error;
    throw new named(message.replace(/^Cannot read the [^:]*:/, `Cannot read ${name}:`), {
      cause: error,
    });
  }
}
