/**
 * What is done with the pictures of requests, which takes long where they are large. To be imported
 * dynamically: other threads load this module by itself.
 *
 * @module
 */

import { callOnOtherThread } from "../base/other_thread.ts";
import { isLarge, type Pixels } from "../images/pixels.ts";
import { RasterImage } from "../images/raster_image.ts";
import { maskOfPainting, maskOfTransparency } from "./masks.ts";

/** What is to be made of a picture. */
export type PictureWork =
  | { readonly make: "mask of transparency" }
  | { readonly make: "mask of painting"; readonly inverted: boolean }
  | { readonly make: "mask of size"; readonly width: number; readonly height: number };

/** Makes something of a picture, on this thread. */
export function make(pixels: Pixels, work: PictureWork): Pixels {
  const { data, width, height } = makeImage(imageOf(pixels), work);
  return { data, width, height };
}

function makeImage(picture: RasterImage, work: PictureWork): RasterImage {
  switch (work.make) {
    case "mask of transparency":
      return maskOfTransparency(picture);
    case "mask of painting":
      return maskOfPainting(picture, work);
    case "mask of size":
      return picture.resize(work.width, work.height, { filter: "area" });
  }
}

const THIS_MODULE = { moduleUrl: import.meta.url, make };

/** Makes something of a picture: on another thread where it is large, so that other requests need not wait. */
export async function workOn(picture: RasterImage, work: PictureWork): Promise<RasterImage> {
  if (!isLarge(picture)) return makeImage(picture, work);
  const { data, width, height } = picture;
  return imageOf(await callOnOtherThread(THIS_MODULE, "make", { data, width, height }, work));
}

function imageOf({ data, width, height }: Pixels): RasterImage {
  return new RasterImage(data, width, height);
}
