/**
 * Images of pixels.
 *
 * @module
 */

import { checkInteger, checkOptions, refuseRange } from "../base/check.ts";
import type { ImageDecodeOptions } from "./decode_image.ts";
import { isLarge, MAX_PIXELS, onWhite, type Pixels } from "./pixels.ts";
import { resize, type ResizeOptions } from "./resize.ts";

/** Options of {@linkcode RasterImage.toJpeg}. */
export interface JpegOptions {
  /** 1 to 100. Default 90. */
  readonly quality?: number | undefined;
}

/**
 * An image of RGBA pixels, 8 bits a channel. It has the fields of a web `ImageData`:
 * `new ImageData(image.data, image.width)` shows it in a canvas.
 */
export class RasterImage implements Pixels {
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
   * Reads a picture file: PNG of any colour type, depth and interlacing, of 16 bits the higher 8; or
   * JPEG, baseline or progressive, turned upright by its Exif orientation. Sizes are checked before
   * memory is taken. Profiles of colours are not applied.
   *
   * @throws {SyntaxError} If the file is of another kind, or damaged.
   * @throws {TypeError} If it is a JPEG file of a rare kind: lossless, arithmetic code, 12 bits.
   * @throws {RangeError} If it has more pixels than `options.maxPixels`.
   *
   * @example
   * ```ts
   * import { RasterImage, VQDiffusionPipeline } from "@vq-diffusion/vq-diffusion";
   *
   * await using pipe = await VQDiffusionPipeline.fromPretrained();
   * // Through the autoencoder and back.
   * const image = await RasterImage.decode(await Deno.readFile("cat.jpg"));
   * const { images } = await pipe.generate(undefined, { image, strength: 0 });
   * ```
   */
  static async decode(file: Uint8Array, options: ImageDecodeOptions = {}): Promise<RasterImage> {
    const { decodeImage } = await import("./decode_image.ts");
    const { data, width, height } = await decodeImage(file, options);
    return new RasterImage(data, width, height);
  }

  /**
   * Makes an image of another size.
   *
   * @throws {TypeError} If an argument is of the wrong type.
   * @throws {RangeError} If one is out of range.
   */
  resize(width: number, height: number, options: ResizeOptions = {}): RasterImage {
    const resized = resize(this, width, height, options, MAX_PIXELS);
    return new RasterImage(resized.data, width, height);
  }

  /**
   * The colours as models take them, on white where the image is transparent: what
   * {@linkcode RasterImage.fromFloat32} makes an image of.
   *
   * @returns (height, width, 3), from 0 to 1.
   */
  toFloat32(): Float32Array<ArrayBuffer> {
    const { data } = onWhite(this);
    const colors = new Float32Array(this.width * this.height * 3);
    for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
      colors[to] = data[from]! / 255;
      colors[to + 1] = data[from + 1]! / 255;
      colors[to + 2] = data[from + 2]! / 255;
    }
    return colors;
  }

  /** Makes a PNG file of the image, without alpha if all of it is opaque. */
  async toPng(): Promise<Uint8Array<ArrayBuffer>> {
    const png = await import("./png.ts");
    if (!isLarge(this)) return png.encodePng(this);
    const { callOnOtherThread } = await import("../base/other_thread.ts");
    return await callOnOtherThread(png, "encodePng", plain(this));
  }

  /**
   * Makes a JPEG file of the image, on white where it is transparent. Browsers have no `Buffer`, which
   * this needs: there a canvas can do it.
   *
   * @throws {TypeError} If an option is of the wrong type, or there is no `Buffer`.
   * @throws {RangeError} If the quality is out of range.
   */
  async toJpeg(options: JpegOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const task = "make a JPEG file";
    checkOptions(task, options, ["quality"]);
    const { quality = 90 } = options;
    checkInteger({ task, name: "quality" }, quality, { min: 1, max: 100 });
    const jpeg = await import("./jpeg.ts");
    if (!isLarge(this)) return jpeg.encodeJpeg(this, quality);
    const { callOnOtherThread } = await import("../base/other_thread.ts");
    return await callOnOtherThread(jpeg, "encodeJpeg", plain(this), quality);
  }
}

/** An image as it is cloned: without its class. */
function plain({ data, width, height }: Pixels): Pixels {
  return { data, width, height };
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
