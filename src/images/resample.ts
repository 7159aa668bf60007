/**
 * Images in other sizes.
 *
 * @module
 */

import type { Pixels } from "./pixels.ts";

/** How pixels are made of others. */
export type ResizeFilter =
  /** Lanczos, of three lobes: sharp, for pictures. Shrinking takes the mean of what becomes a pixel. */
  | "lanczos"
  /** The mean of the area that becomes a pixel. */
  | "area"
  /** The pixel in the middle of that area: for enlarging small pictures. */
  | "nearest";

/** A part of an image in pixels, which need not be whole. */
export interface ImagePart {
  /** Columns left of it. */
  readonly left: number;
  /** Rows above it. */
  readonly top: number;
  /** Columns in it. */
  readonly width: number;
  /** Rows in it. */
  readonly height: number;
}

/** Lobes of the Lanczos filter. */
const LOBES = 3;

/**
 * Makes an image of a part of another. Colours are weighted by their alpha, so that what is transparent
 * does not show.
 *
 * @param width Pixels in a row of the result.
 * @param height Number of rows of the result.
 */
export function resample(
  image: Pixels,
  part: ImagePart,
  width: number,
  height: number,
  filter: ResizeFilter,
): Pixels {
  const columns = tapsOf(part.left, part.width, image.width, width, filter);
  const rows = tapsOf(part.top, part.height, image.height, height, filter);
  const firstRow = rows[0]!.first;
  const lastRow = rows.at(-1)!.first + rows.at(-1)!.weights.length;
  const narrow = resampleRows(image, columns, firstRow, lastRow);
  const data = new Uint8ClampedArray(width * height * 4);
  const sums = new Float64Array(width * 4);
  rows.forEach(({ first, weights }, y) => {
    sums.fill(0);
    weights.forEach((weight, i) => {
      const row = (first + i - firstRow) * width * 4;
      for (let x = 0; x < sums.length; x++) sums[x]! += weight * narrow[row + x]!;
    });
    const start = y * width * 4;
    for (let at = 0; at < sums.length; at += 4) {
      const alpha = sums[at + 3]!;
      // Colours are multiplied by alpha; rounding is the array's.
      for (let c = 0; c < 3; c++) data[start + at + c] = alpha > 0 ? sums[at + c]! / alpha : 0;
      data[start + at + 3] = alpha * 255;
    }
  });
  return { width, height, data };
}

/** The pixels that one pixel is made of. */
interface Taps {
  /** Index of the first. */
  readonly first: number;
  /** Weights from there on; their sum is 1. */
  readonly weights: Float64Array;
}

/**
 * The pixels for each of `size` new ones along a side.
 *
 * @param start Where the part begins, of a side of `limit` pixels.
 * @param length Length of the part.
 */
function tapsOf(
  start: number,
  length: number,
  limit: number,
  size: number,
  filter: ResizeFilter,
): Taps[] {
  const step = length / size;
  return Array.from({ length: size }, (_, i) => {
    const center = start + (i + 0.5) * step;
    switch (filter) {
      case "nearest":
        return normalized(Math.floor(center), [1], limit);
      case "area":
        return areaTaps(center - step / 2, center + step / 2, limit);
      case "lanczos":
        return lanczosTaps(center, Math.max(1, step), limit);
    }
  });
}

/** Each pixel by what of it lies between two places. */
function areaTaps(low: number, high: number, limit: number): Taps {
  const first = Math.floor(low);
  const weights = Array.from({ length: Math.ceil(high) - first }, (_, i) => {
    return Math.min(high, first + i + 1) - Math.max(low, first + i);
  });
  return normalized(first, weights, limit);
}

/** The pixels whose middles the filter reaches, which is made wider by `scale`. */
function lanczosTaps(center: number, scale: number, limit: number): Taps {
  const first = Math.ceil(center - LOBES * scale - 0.5);
  const end = Math.floor(center + LOBES * scale + 0.5);
  const weights = Array.from({ length: end - first }, (_, i) => {
    const x = (first + i + 0.5 - center) / scale;
    return sinc(x) * sinc(x / LOBES);
  });
  return normalized(first, weights, limit);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Leaves out what lies outside of the side, and makes the sum 1. */
function normalized(first: number, weights: readonly number[], limit: number): Taps {
  // Rounding may push the only pixel over an edge.
  const from = Math.min(Math.max(first, 0), limit - 1);
  const inside = weights.slice(from - first, limit - first);
  const sum = inside.reduce((total, weight) => total + weight, 0);
  return { first: from, weights: Float64Array.from(inside, (weight) => weight / sum) };
}

/** Rows from `firstRow` up to `lastRow` in another width: (rows, width, 4), colours times alpha, alpha 0…1. */
function resampleRows(
  image: Pixels,
  columns: readonly Taps[],
  firstRow: number,
  lastRow: number,
): Float32Array {
  const narrow = new Float32Array((lastRow - firstRow) * columns.length * 4);
  let at = 0;
  for (let y = firstRow; y < lastRow; y++) {
    for (const { first, weights } of columns) {
      let [red, green, blue, alpha] = [0, 0, 0, 0];
      for (let i = 0; i < weights.length; i++) {
        const from = (y * image.width + first + i) * 4;
        const weight = weights[i]! * image.data[from + 3]! / 255;
        red += weight * image.data[from]!;
        green += weight * image.data[from + 1]!;
        blue += weight * image.data[from + 2]!;
        alpha += weight;
      }
      narrow[at] = red;
      narrow[at + 1] = green;
      narrow[at + 2] = blue;
      narrow[at + 3] = alpha;
      at += 4;
    }
  }
  return narrow;
}
