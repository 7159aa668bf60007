/**
 * What is white in a mask.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";

/** From this luminance on a pixel of a mask is white. */
const WHITE = 128;

/** Whether a mask has a pixel that is white and not transparent. */
export function hasWhite(mask: RasterImage): boolean {
  return whiteOf(mask).some((value) => value > 0);
}

/** 255 for each pixel that is white and not transparent, 0 for the others. */
export function whiteOf({ data }: RasterImage): Uint8Array {
  const white = new Uint8Array(data.length / 4);
  for (let i = 0; i < white.length; i++) {
    // Whole numbers: the weights of ITU-R BT.601 in thousandths, and alpha in 255ths.
    const at = 4 * i;
    const luminance = 299 * data[at]! + 587 * data[at + 1]! + 114 * data[at + 2]!;
    if (luminance * data[at + 3]! >= WHITE * 1000 * 255) white[i] = 255;
  }
  return white;
}
