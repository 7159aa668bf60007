/**
 * Masks as other programs have them. Ours are white where they are repainted.
 *
 * @module
 */

import { RasterImage } from "../images/raster_image.ts";
import { whiteOf } from "../pipeline/mask.ts";

/** A mask of what is transparent in a picture: white where its alpha is less than half. */
export function maskOfTransparency(picture: RasterImage): RasterImage {
  const alpha = alphaOf(picture);
  return maskOf(picture, alpha.map((value) => value < 128 ? 255 : 0));
}

/**
 * A mask in the form of the web UI's: white is repainted or, in a picture that has transparency, what is
 * not transparent.
 */
export function maskOfPainting(painting: RasterImage, { inverted = false } = {}): RasterImage {
  const alpha = alphaOf(painting);
  const isOpaque = alpha.every((value) => value === 255);
  const white = isOpaque ? whiteOf(painting) : alpha.map((value) => value < 128 ? 0 : 255);
  return maskOf(painting, inverted ? white.map((value) => 255 - value) : white);
}

function alphaOf({ data }: RasterImage): Uint8Array {
  return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]!);
}

/** An opaque picture of shades of grey, one for each pixel. */
function maskOf(
  { width, height }: Pick<RasterImage, "width" | "height">,
  shades: Uint8Array,
): RasterImage {
  const data = new Uint8ClampedArray(4 * shades.length).fill(255);
  shades.forEach((shade, i) => data.fill(shade, 4 * i, 4 * i + 3));
  return new RasterImage(data, width, height);
}
