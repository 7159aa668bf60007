/**
 * Several images as one.
 *
 * @module
 */

import { checkInteger, refuseRange } from "../base/check.ts";
import { RasterImage } from "./raster_image.ts";

/** Options of {@linkcode contactSheet}. */
export interface ContactSheetOptions {
  /** Images in a row. Default: as many as make the sheet about as wide as it is high. */
  readonly columns?: number | undefined;
  /** Pixels between images and around them, white. Default: 8. */
  readonly gap?: number | undefined;
}

const TASK = "make a contact sheet";

/**
 * Puts images side by side, in rows from the left. Smaller ones stand at the top left of their
 * place.
 *
 * @throws {TypeError} If an option is not a number.
 * @throws {RangeError} If there is no image, or an option has no meaning.
 */
export function contactSheet(
  images: readonly RasterImage[],
  options: ContactSheetOptions = {},
): RasterImage {
  if (images.length === 0) {
    refuseRange({ task: TASK, name: "images" }, images, "at least one image");
  }
  const { columns = Math.ceil(Math.sqrt(images.length)), gap = 8 } = options;
  checkInteger({ task: TASK, name: "columns" }, columns, { min: 1 });
  checkInteger({ task: TASK, name: "gap" }, gap, { min: 0 });
  const across = Math.min(columns, images.length);
  const down = Math.ceil(images.length / across);
  const cellWidth = gap + Math.max(...images.map((image) => image.width));
  const cellHeight = gap + Math.max(...images.map((image) => image.height));
  const width = across * cellWidth + gap;
  const height = down * cellHeight + gap;
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (const [index, image] of images.entries()) {
    const left = gap + (index % across) * cellWidth;
    const top = gap + Math.floor(index / across) * cellHeight;
    for (let row = 0; row < image.height; row++) {
      const from = row * image.width * 4;
      const line = image.data.subarray(from, from + image.width * 4);
      data.set(line, ((top + row) * width + left) * 4);
    }
  }
  return new RasterImage(data, width, height);
}
