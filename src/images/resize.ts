/**
 * Fitting images into other sizes.
 *
 * @module
 */

import { checkChoice, checkInteger, checkOptions, refuseRange } from "../base/check.ts";
import type { Pixels } from "./pixels.ts";
import { type ImagePart, resample, type ResizeFilter } from "./resample.ts";

/** Where an image goes if its sides are in another ratio than the new ones; named as in CSS. */
export type ResizeFit =
  /** Its sides are stretched. */
  | "fill"
  /** It covers all, and what is beyond is cut off on both sides. */
  | "cover"
  /** All of it is shown, in the middle; the rest is transparent. */
  | "contain";

/** Options of `RasterImage.resize`. */
export interface ResizeOptions {
  /** Where the image goes if its sides are in another ratio. Default `"fill"`. */
  readonly fit?: ResizeFit | undefined;
  /** How pixels are made. Default `"lanczos"`. */
  readonly filter?: ResizeFilter | undefined;
}

const TASK = "resize the image";

/**
 * Makes an image of another size.
 *
 * @param maxPixels The most that the result may have.
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If one is out of range.
 */
export function resize(
  image: Pixels,
  width: number,
  height: number,
  options: ResizeOptions,
  maxPixels: number,
): Pixels {
  checkOptions(TASK, options, ["fit", "filter"]);
  const { fit = "fill", filter = "lanczos" } = options;
  for (const [name, side] of Object.entries({ width, height })) {
    checkInteger({ task: TASK, name }, side, { min: 1 });
  }
  if (width * height > maxPixels) {
    refuseRange({ task: TASK, name: "width · height" }, width * height, `at most ${maxPixels}`);
  }
  checkChoice({ task: TASK, name: "fit" }, fit, ["fill", "cover", "contain"]);
  checkChoice({ task: TASK, name: "filter" }, filter, ["lanczos", "area", "nearest"]);
  if (fit === "cover") {
    return resample(image, middleOf(image, width, height), width, height, filter);
  }
  const all = { left: 0, top: 0, width: image.width, height: image.height };
  if (fit === "fill") return resample(image, all, width, height, filter);
  const factor = Math.min(width / image.width, height / image.height);
  const innerWidth = Math.max(1, Math.round(image.width * factor));
  const innerHeight = Math.max(1, Math.round(image.height * factor));
  return inTheMiddle(resample(image, all, innerWidth, innerHeight, filter), width, height);
}

/** The largest part in the middle whose sides are in the ratio of others. */
function middleOf(image: Pixels, width: number, height: number): ImagePart {
  const factor = Math.min(image.width / width, image.height / height);
  const [partWidth, partHeight] = [width * factor, height * factor];
  return {
    left: (image.width - partWidth) / 2,
    top: (image.height - partHeight) / 2,
    width: partWidth,
    height: partHeight,
  };
}

/** Puts an image in the middle of a larger one, which is transparent. */
function inTheMiddle(image: Pixels, width: number, height: number): Pixels {
  const left = (width - image.width) >> 1;
  const top = (height - image.height) >> 1;
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 4, (y + 1) * image.width * 4);
    data.set(row, ((top + y) * width + left) * 4);
  }
  return { width, height, data };
}
