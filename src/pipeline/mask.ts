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
  const { data } = mask;
  for (let at = 0; at < data.length; at += 4) if (isWhite(data, at)) return true;
  return false;
}

/** 255 for each pixel that is white and not transparent, 0 for the others. */
export function whiteOf({ data }: RasterImage): Uint8Array {
  const white = new Uint8Array(data.length / 4);
  for (let i = 0; i < white.length; i++) if (isWhite(data, 4 * i)) white[i] = 255;
  return white;
}

/** Whether the pixel at an index is white and not transparent. */
function isWhite(data: Uint8ClampedArray, at: number): boolean {
  // Whole numbers: the weights of ITU-R BT.601 in thousandths, and alpha in 255ths.
  const luminance = 299 * data[at]! + 587 * data[at + 1]! + 114 * data[at + 2]!;
  return luminance * data[at + 3]! >= WHITE * 1000 * 255;
}
