/**
 * Pictures and masks in the size that a model draws.
 *
 * @module
 */

import { RasterImage } from "../images/raster_image.ts";
import { whiteOf } from "./mask.ts";

/** The largest square in the middle of a picture, of another side. One that was fitted stays as it is. */
export function fitPicture(picture: RasterImage, side: number): RasterImage {
  return picture.resize(side, side, { fit: "cover" });
}

/**
 * Fits a mask into a square, as the picture was: white is what has any white in it, the rest is black. One
 * that was fitted stays as it is.
 *
 * @throws {RangeError} If nothing of the white lies where the picture is drawn.
 */
export function fitMask(mask: RasterImage, side: number): RasterImage {
  // Black and white first, so that not the least bit of white is lost.
  const white = blackAndWhite(whiteOf(mask), mask.width, mask.height);
  const { data } = white.resize(side, side, { fit: "cover", filter: "area" });
  const isInside = Uint8Array.from({ length: side ** 2 }, (_, i) => data[4 * i]! > 0 ? 255 : 0);
  if (!isInside.includes(255)) {
    throw new RangeError(
      "Cannot generate: maskImage has no white where the picture is drawn, expected some in its middle",
    );
  }
  return blackAndWhite(isInside, side, side);
}

function blackAndWhite(values: Uint8Array, width: number, height: number): RasterImage {
  const data = new Uint8ClampedArray(4 * values.length).fill(255);
  values.forEach((value, i) => data.fill(value, 4 * i, 4 * i + 3));
  return new RasterImage(data, width, height);
}
