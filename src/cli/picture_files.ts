/**
 * Pictures that the command line names: what to start from, and what of it to repaint.
 *
 * @module
 */

import { formatBytes } from "../base/format.ts";
import type { RasterImage } from "../images/raster_image.ts";
import { readPicture } from "../images/read_picture.ts";
import { checkPictureOptions, type PictureOptions } from "../pipeline/picture_options.ts";
import { UsageError } from "./arguments.ts";
import { cannotRead } from "./read_error.ts";

/** Files of pictures are at most this large. */
const MAX_BYTES = 2 ** 28;

/** Paths of the pictures. */
export interface PicturePaths {
  /** The picture to start from. */
  readonly image: string | undefined;
  /** Which part of it to repaint. */
  readonly mask: string | undefined;
}

/**
 * Reads the pictures, and checks that they fit each other.
 *
 * @param strength How much is drawn anew, if it is given.
 * @throws {UsageError} If one cannot be read, or they do not fit.
 */
export async function readPictures(
  { image, mask }: PicturePaths,
  strength: number | undefined,
): Promise<PictureOptions> {
  const read = async (path: string | undefined) =>
    path === undefined ? undefined : await readPictureFile(path);
  const pictures = { image: await read(image), maskImage: await read(mask) };
  try {
    checkPictureOptions({ ...pictures, strength }, 1);
  } catch (error) {
    const { message } = error as Error;
    const ofOptions = message.replace(/^Cannot generate: /, "").replace("maskImage", "--mask")
      .replace(/^strength/, "--strength").replace("without image", "without --image")
      .replace("as the image", "as --image");
    throw new UsageError(ofOptions, { cause: error });
  }
  return pictures;
}

async function readPictureFile(path: string): Promise<RasterImage> {
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new Error("it is no file");
    if (size > MAX_BYTES) {
      throw new Error(`it has ${formatBytes(size)}, expected at most ${formatBytes(MAX_BYTES)}`);
    }
    return await readPicture(path, await Deno.readFile(path));
  } catch (error) {
    throw cannotRead(path, error);
  }
}
