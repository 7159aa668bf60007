/**
 * Bigger pixels.
 *
 * @module
 */

import { checkInteger, refuseRange } from "../base/check.ts";
import { RasterImage } from "./raster_image.ts";

/** The most pixels of an enlarged image: nobody looks at more. */
export const MOST_ENLARGED_PIXELS: number = 2 ** 26;

/**
 * Enlarges an image by a whole factor: each pixel becomes a square of its colour (nearest neighbour), as
 * is best for looking at small images.
 *
 * @throws {TypeError} If the factor is not a number.
 * @throws {RangeError} If it is no whole number from 1 on, or the image would be too big.
 */
export function enlarge(image: RasterImage, factor: number): RasterImage {
  const subject = { task: "enlarge an image", name: "factor" };
  checkInteger(subject, factor, { min: 1 });
  const width = image.width * factor;
  const height = image.height * factor;
  if (width * height > MOST_ENLARGED_PIXELS) {
    const most = Math.floor(Math.sqrt(MOST_ENLARGED_PIXELS / (image.width * image.height)));
    refuseRange(subject, factor, `at most ${most} for ${image.width} × ${image.height} pixels`);
  }
  const from = new Uint32Array(image.data.slice().buffer);
  const to = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / factor) * image.width;
    for (let x = 0; x < width; x++) to[y * width + x] = from[row + Math.floor(x / factor)]!;
  }
  return new RasterImage(new Uint8ClampedArray(to.buffer), width, height);
}
