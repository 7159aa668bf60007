/**
 * Reading picture files of any kind that is known. To be imported dynamically.
 *
 * @module
 */

import { checkInteger, checkOptions, refuseType } from "../base/check.ts";
import { callOnOtherThread } from "../base/other_thread.ts";
import { isJpeg, readJpegInfo } from "./jpeg_segments.ts";
import { isLarge, MAX_PIXELS, type Pixels } from "./pixels.ts";
import { isPng, pngSize } from "./png_chunks.ts";

/** Options of `RasterImage.decode`. */
export interface ImageDecodeOptions {
  /** The most pixels that are read: each takes 4 bytes, and more while it is read. Default 2²⁶. */
  readonly maxPixels?: number | undefined;
}

const TASK = "read the picture";

/** 67 megapixels: more than cameras have as a rule. */
const MOST_PIXELS = 2 ** 26;

/** How files begin that people take for pictures, and that are not read. */
const OTHERS: Readonly<Record<string, RegExp>> = {
  "a WebP file": /^RIFF[^]{4}WEBP/,
  "a GIF file": /^GIF8/,
  "a TIFF file": /^(II\*\0|MM\0\*)/,
  "a BMP file": /^BM/,
  "an AVIF or HEIC file": /^[^]{4}ftyp/,
  "an SVG or HTML file": /^\s*</,
};

/**
 * Reads a PNG or JPEG file, by how it begins.
 *
 * @throws {SyntaxError} If it is neither, or damaged.
 * @throws {TypeError} If it is of a kind that is not read.
 * @throws {RangeError} If it has too many pixels.
 */
export async function decodeImage(file: Uint8Array, options: ImageDecodeOptions): Promise<Pixels> {
  checkOptions(TASK, options, ["maxPixels"]);
  const { maxPixels = MOST_PIXELS } = options;
  checkInteger({ task: TASK, name: "maxPixels" }, maxPixels, {
    min: 1,
    max: MAX_PIXELS,
  });
  if (!(file instanceof Uint8Array)) {
    refuseType({ task: TASK, name: "the file" }, file, "its bytes as a Uint8Array");
  }
  if (isPng(file)) {
    const png = await import("./png.ts");
    if (!isLarge(pngSize(file))) return png.decodePng(file, maxPixels);
    return await callOnOtherThread(png, "decodePng", file, maxPixels);
  }
  if (isJpeg(file)) {
    const jpeg = await import("./jpeg.ts");
    if (!isLarge(readJpegInfo(file, maxPixels))) return jpeg.decodeJpeg(file, maxPixels);
    return await callOnOtherThread(jpeg, "decodeJpeg", file, maxPixels);
  }
  const start = String.fromCharCode(...file.subarray(0, 16));
  const kind = Object.keys(OTHERS).find((kind) => OTHERS[kind]!.test(start)) ??
    (file.length === 0 ? "empty" : "of no kind that is known");
  throw new SyntaxError(`Cannot ${TASK}: the file is ${kind}, expected a PNG or JPEG file`);
}
