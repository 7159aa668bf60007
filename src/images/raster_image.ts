/**
 * Images of pixels.
 *
 * @module
 */

import { checkInteger, refuseRange } from "../base/check.ts";
import { decodePng, encodePng } from "./png.ts";

/** Pixels may be at most this many, so that their bytes fit into an array everywhere. */
const MAX_PIXELS = 2 ** 28;

/**
 * An image of RGBA pixels, 8 bits a channel. It has the fields of a web `ImageData`:
 * `new ImageData(image.data, image.width)` shows it in a canvas.
 */
export class RasterImage {
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
  /** Red, green, blue and alpha of each pixel, row by row; alpha is not premultiplied. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;

  /**
   * Makes an image of its pixels, which are not copied.
   *
   * @throws {TypeError} If a side is not a number.
   * @throws {RangeError} If a side is no positive integer, or the number of bytes does not fit.
   */
  constructor(data: Uint8ClampedArray<ArrayBuffer>, width: number, height: number) {
    checkSize(data.length, width, height, 4);
    this.data = data;
    this.width = width;
    this.height = height;
  }

  /**
   * Makes an opaque image of colours as models give them.
   *
   * @param data (height, width, 3), from 0 to 1. A byte is round(255 x) in float32, half to even, as
   * in diffusers' `numpy_to_pil`; what lies outside is clamped.
   * @throws {TypeError} If a side is not a number.
   * @throws {RangeError} If a side is no positive integer, or the number of elements does not fit.
   */
  static fromFloat32(data: Float32Array, width: number, height: number): RasterImage {
    checkSize(data.length, width, height, 3);
    const bytes = new Uint8ClampedArray(width * height * 4);
    for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
      // The clamped array rounds to even and clamps by itself.
      bytes[to] = Math.fround(255 * data[from]!);
      bytes[to + 1] = Math.fround(255 * data[from + 1]!);
      bytes[to + 2] = Math.fround(255 * data[from + 2]!);
      bytes[to + 3] = 255;
    }
    return new RasterImage(bytes, width, height);
  }

  /**
   * Reads a PNG file of 8 or 16 bits a channel, grey, in colour or with a palette.
   *
   * @throws {SyntaxError} If the file is damaged.
   * @throws {TypeError} If it is interlaced or has fewer bits.
   */
  static async fromPng(file: Uint8Array): Promise<RasterImage> {
    const { data, width, height } = await decodePng(file);
    return new RasterImage(data, width, height);
  }

  /** Makes a PNG file of the image, without alpha if all of it is opaque. */
  toPng(): Promise<Uint8Array<ArrayBuffer>> {
    return encodePng(this);
  }
}

function checkSize(length: number, width: number, height: number, channels: number): void {
  const task = "make an image";
  for (const [name, side] of Object.entries({ width, height })) {
    checkInteger({ task, name }, side, { min: 1 });
  }
  if (width * height > MAX_PIXELS) {
    refuseRange({ task, name: "width · height" }, width * height, `at most ${MAX_PIXELS}`);
  }
  if (length !== width * height * channels) {
    refuseRange({ task, name: "data.length" }, length, `${width} · ${height} · ${channels}`);
  }
}
