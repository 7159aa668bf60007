/**
 * The pictures that jobs start from, and their masks.
 *
 * @module
 */

import { RasterImage } from "../images/raster_image.ts";
import type { JobRequest } from "../jobs/job.ts";
import { whiteOf } from "../pipeline/mask.ts";
import { RequestError } from "./request_error.ts";

/**
 * Fits the pictures of a job to what the model draws, as the pipeline would, so that a job that waits
 * takes little memory however large they were.
 *
 * @param side Side of the model's pictures.
 * @throws {RequestError} If nothing of the mask is white where the picture is drawn.
 */
export function fitPictures(request: JobRequest, side: number): JobRequest {
  const { image, maskImage } = request;
  if (image === undefined) return request;
  return {
    ...request,
    image: image.resize(side, side, { fit: "cover" }),
    maskImage: maskImage && fitMask(maskImage, side),
  };
}

/** White for each pixel of the result in which there is any white of the mask. */
function fitMask(mask: RasterImage, side: number): RasterImage {
  const white = maskOf(mask, whiteOf(mask));
  const fitted = white.resize(side, side, { fit: "cover", filter: "area" });
  const touched = Uint8Array.from({ length: side * side }, (_, i) => fitted.data[4 * i]! && 255);
  if (touched.includes(255)) return maskOf(fitted, touched);
  const message = "The mask leaves nothing to repaint in the middle square of the picture";
  throw new RequestError(400, message, {}, "mask");
}

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
