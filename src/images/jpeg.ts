/**
 * JPEG files, by way of jpeg-js, which is plain JavaScript and needs no permission. To be imported
 * dynamically: programs that read and write no such files can do without.
 *
 * @module
 */

import jpeg from "npm:jpeg-js@0.4.4";
import { damagedJpeg, readJpegInfo } from "./jpeg_segments.ts";
import { orient } from "./orientation.ts";
import { onWhite, type Pixels } from "./pixels.ts";

/** Where this module is, for other threads. */
export const moduleUrl: string = import.meta.url;

/**
 * Reads a baseline or progressive JPEG file, grey, in colour or of four inks, and turns it as its Exif
 * orientation says.
 *
 * @param maxPixels The most pixels that are read.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is of a kind that is not read.
 * @throws {RangeError} If it has more pixels.
 */
export function decodeJpeg(file: Uint8Array, maxPixels: number): Pixels {
  const { orientation, isRgb } = readJpegInfo(file, maxPixels);
  let image;
  try {
    image = jpeg.decode(file, {
      useTArray: true,
      tolerantDecoding: false,
      ...(isRgb && { colorTransform: false }),
      // The sizes are checked.
      maxResolutionInMP: Infinity,
      maxMemoryUsageInMB: Infinity,
    });
  } catch (cause) {
    throw damagedJpeg("its pixels are damaged", cause);
  }
  const { width, height, data } = image;
  const bytes = new Uint8ClampedArray(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  return orient({ width, height, data: bytes }, orientation);
}

/**
 * Makes a baseline JPEG file of an image, on white where it is transparent.
 *
 * @param quality 1 to 100.
 * @throws {TypeError} Where there is no `Buffer`, as in browsers.
 */
export function encodeJpeg(image: Pixels, quality: number): Uint8Array<ArrayBuffer> {
  if (!("Buffer" in globalThis)) {
    throw new TypeError(
      "Cannot make a JPEG file: Buffer is not defined, expected a runtime that has it",
    );
  }
  return new Uint8Array(jpeg.encode(onWhite(image), quality).data);
}
