/**
 * The options that say which picture a generation starts from, and their checks.
 *
 * @module
 */

import { refuseRange, refuseType } from "../base/check.ts";
import { RasterImage } from "../images/raster_image.ts";
import { hasWhite } from "./mask.ts";

/** The options that say what to start from. */
export interface PictureOptions {
  /**
   * Picture to start from, of any size: the largest square in its middle is taken, in the size that the
   * model draws. What is transparent becomes white. An array has one for each prompt.
   */
  readonly image?: RasterImage | readonly RasterImage[] | undefined;
  /** Which part of `image`, which is a single one, to repaint: what is white. Of the same size. */
  readonly maskImage?: RasterImage | undefined;
}

/** Options to check, and those that they go with or do not. */
interface OptionsAround extends PictureOptions {
  readonly strength?: number | undefined;
  readonly latents?: Int32Array | undefined;
}

/**
 * Checks the options that say what to start from, as far as that needs no model.
 *
 * @param prompts Number of prompts.
 * @throws {TypeError} If one is of the wrong type, or given without or beside another.
 * @throws {RangeError} If the number of pictures does not fit, or the mask is of another size or empty.
 */
export function checkPictureOptions(options: OptionsAround, prompts: number): void {
  const { image, maskImage, strength, latents } = options;
  const task = "generate";
  if (image === undefined) {
    const name = maskImage !== undefined ? "maskImage" : "strength";
    if (maskImage === undefined && strength === undefined) return;
    throw new TypeError(`Cannot generate: ${name} is given without image, expected both`);
  }
  if (latents !== undefined) {
    throw new TypeError("Cannot generate: latents and image are both given, expected one of them");
  }
  if (Array.isArray(image)) {
    if (image.length === 0) refuseRange({ task, name: "image" }, image, "at least one RasterImage");
    image.forEach((one, i) => checkPicture(`image[${i}]`, one));
    if (image.length !== prompts) {
      const expected = `${prompts}, one for each prompt`;
      refuseRange({ task, name: "image.length" }, image.length, expected);
    }
  } else checkPicture("image", image);
  if (maskImage === undefined) return;
  checkPicture("maskImage", maskImage);
  if (!(image instanceof RasterImage)) {
    refuseType({ task, name: "image" }, image, "a single RasterImage beside maskImage");
  }
  if (maskImage.width !== image.width || maskImage.height !== image.height) {
    throw new RangeError(
      `Cannot generate: maskImage is ${maskImage.width} × ${maskImage.height} pixels, expected ` +
        `${image.width} × ${image.height} as the image`,
    );
  }
  if (!hasWhite(maskImage)) {
    throw new RangeError("Cannot generate: maskImage has no white, expected some where to repaint");
  }
}

function checkPicture(name: string, picture: unknown): void {
  if (picture instanceof RasterImage) return;
  refuseType({ task: "generate", name }, picture, "a RasterImage");
}
