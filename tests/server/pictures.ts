// Pictures for requests.

import { RasterImage } from "../../src/images/raster_image.ts";

/** A picture of some colours, wider than high. */
export function picture(width = 50, height = 40): RasterImage {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < data.length; i += 4) {
    const [x, y] = [i / 4 % width, Math.floor(i / 4 / width)];
    data.set([5 * x, 6 * y, 3 * (x + y)], i);
  }
  return new RasterImage(data, width, height);
}

/** A picture of one colour, and of another one in its left half. */
export function halves(
  left: readonly number[],
  right: readonly number[],
  width = 50,
  height = 40,
): RasterImage {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) data.set(i % width < width / 2 ? left : right, 4 * i);
  return new RasterImage(data, width, height);
}

export const WHITE = [255, 255, 255, 255];
export const BLACK = [0, 0, 0, 255];
export const CLEAR = [0, 0, 0, 0];

/** The picture of a file in base64. */
export async function decodeBase64(file: string | undefined): Promise<RasterImage> {
  return await RasterImage.decode(Uint8Array.fromBase64(file!));
}
