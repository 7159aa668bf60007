/**
 * Fitting pictures on another thread where they are large: the largest take a second. To be imported
 * dynamically: other threads load this module by itself.
 *
 * @module
 */

import { callOnOtherThread } from "../base/other_thread.ts";
import { isLarge, type Pixels } from "../images/pixels.ts";
import { RasterImage } from "../images/raster_image.ts";
import { fitMask, fitPicture } from "./fit_pictures.ts";

const FITS = { picture: fitPicture, mask: fitMask };

/** What is fitted. */
export type FitKind = keyof typeof FITS;

/** Fits a picture or a mask on this thread. */
export function fit(pixels: Pixels, kind: FitKind, side: number): Pixels {
  const { data, width, height } = FITS[kind](imageOf(pixels), side);
  return { data, width, height };
}

const THIS_MODULE = { moduleUrl: import.meta.url, fit };

/**
 * Fits a picture or a mask into a square, so that the event loop stays free.
 *
 * @throws {RangeError} If nothing of the white of a mask lies where the picture is drawn.
 */
export async function fitted(
  picture: RasterImage,
  kind: FitKind,
  side: number,
): Promise<RasterImage> {
  const { data, width, height } = picture;
  // One that was fitted stays as it is.
  const isQuick = !isLarge(picture) || width === side && height === side;
  if (isQuick) return FITS[kind](picture, side);
  return imageOf(await callOnOtherThread(THIS_MODULE, "fit", { data, width, height }, kind, side));
}

function imageOf({ data, width, height }: Pixels): RasterImage {
  return new RasterImage(data, width, height);
}
