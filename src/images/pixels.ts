/**
 * What an image consists of.
 *
 * @module
 */

/** The pixels of an image: RGBA, 8 bits each, row by row. */
export interface Pixels {
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
  /** Four bytes for each pixel. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Pixels from which on an image is read and written on another thread: some milliseconds of work. */
const MANY_PIXELS = 2 ** 18;

/** Whether an image takes long to read and to write. */
export function isLarge({ width, height }: Pick<Pixels, "width" | "height">): boolean {
  return width * height >= MANY_PIXELS;
}

/** Images have at most this many pixels, so that their bytes fit into an array everywhere. */
export const MAX_PIXELS: number = 2 ** 28;

/** An image without alpha, on white where it is transparent. */
export function onWhite(image: Pixels): Pixels {
  const data = new Uint8ClampedArray(image.data.length).fill(255);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = image.data[i + 3]! / 255;
    for (let c = i; c < i + 3; c++) data[c] = 255 + alpha * (image.data[c]! - 255);
  }
  return { width: image.width, height: image.height, data };
}
