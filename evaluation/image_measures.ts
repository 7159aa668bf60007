// How alike tokens and pictures are.

import type { Pixels } from "../src/images/pixels.ts";
import type { RasterImage } from "../src/images/raster_image.ts";

/** Red, green and blue, 0 … 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** Number of places where both lists have the same token. */
export function countEqual(a: Int32Array, b: Int32Array): number {
  return a.reduce((count, token, i) => token === b[i] ? count + 1 : count, 0);
}

/** Share of the places that count where a list has the right token. */
export function shareOfRight(
  tokens: Int32Array,
  right: Int32Array,
  counts: readonly boolean[],
): number {
  const [a, b] = [tokens, right].map((all) => all.filter((_, place) => counts[place]));
  return countEqual(a!, b!) / a!.length;
}

/** Mean absolute difference of red, green and blue, 0 … 255, of pictures of one size. */
export function meanDifference(a: RasterImage, b: RasterImage): number {
  return meanOverColors(a, b, (x, y) => Math.abs(x - y));
}

/** Mean squared difference of red, green and blue of pictures of one size. */
export function meanSquaredDifference(a: RasterImage, b: RasterImage): number {
  return meanOverColors(a, b, (x, y) => (x - y) ** 2);
}

/** Peak signal-to-noise ratio of pictures of one size, in decibels; infinite for equal ones. */
export function peakSignalToNoise(a: RasterImage, b: RasterImage): number {
  return 10 * Math.log10(255 ** 2 / meanSquaredDifference(a, b));
}

/**
 * Mean red, green and blue of equal blocks, row by row.
 *
 * @param blocks Blocks of a side, a divisor of the picture's.
 */
export function blockMeans({ data, width, height }: Pixels, blocks: number): Float32Array {
  const [columns, rows] = [width / blocks, height / blocks];
  if (!Number.isInteger(columns) || !Number.isInteger(rows)) {
    throw new RangeError(
      `Cannot divide a picture: blocks is ${blocks}, expected a divisor of ${width} and ${height}`,
    );
  }
  const means = new Float32Array(blocks * blocks * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = Math.floor(y / rows) * blocks + Math.floor(x / columns);
      for (let c = 0; c < 3; c++) {
        means[block * 3 + c]! += data[(y * width + x) * 4 + c]! / (rows * columns);
      }
    }
  }
  return means;
}

/** Blocks of a side of pictures that are compared by their means, so that edges count little. */
export const BLOCKS = 16;

/** Sum of the squared differences of two pictures' {@linkcode blockMeans}. */
export function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/**
 * The most pictures of which any two differ by at least so much.
 *
 * @param least Root of the mean squared difference of means of 16 × 16 blocks, of 255.
 */
export function mostUnlike(images: readonly RasterImage[], least: number): number {
  const means = images.map((image) => blockMeans(image, BLOCKS));
  const isUnlike = (i: number, j: number) => {
    return squaredDistance(means[i]!, means[j]!) >= least ** 2 * means[i]!.length;
  };
  const mostOf = (chosen: readonly number[], next: number): number => {
    if (next === means.length) return chosen.length;
    const without = mostOf(chosen, next + 1);
    if (!chosen.every((one) => isUnlike(one, next))) return without;
    return Math.max(without, mostOf([...chosen, next], next + 1));
  };
  return mostOf([], 0);
}

/** Median colour, channel by channel, of a border as wide as 1/32 of the picture, at least one pixel. */
export function borderColor({ data, width, height }: RasterImage): Color {
  const border = Math.max(1, Math.round(Math.min(width, height) / 32));
  const channels: [number[], number[], number[]] = [[], [], []];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (Math.min(x, y, width - 1 - x, height - 1 - y) >= border) continue;
      channels.forEach((values, c) => values.push(data[(y * width + x) * 4 + c]!));
    }
  }
  const [red, green, blue] = channels;
  return [median(red), median(green), median(blue)];
}

/** Name of the colour at the smallest Euclidean distance; the first of equals. */
export function nearestColor(color: Color, colors: Readonly<Record<string, Color>>): string {
  const distances = Object.entries(colors).map(([name, other]) => {
    return { name, distance: Math.hypot(...color.map((value, c) => value - other[c]!)) };
  });
  return distances.reduce((best, next) => next.distance < best.distance ? next : best).name;
}

function meanOverColors(
  a: RasterImage,
  b: RasterImage,
  differenceOf: (x: number, y: number) => number,
): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new RangeError(
      `Cannot compare a picture of ${a.width} × ${a.height} pixels with one of ` +
        `${b.width} × ${b.height}: expected the same size`,
    );
  }
  let sum = 0;
  for (let i = 0; i < a.data.length; i += 4) {
    for (let c = i; c < i + 3; c++) sum += differenceOf(a.data[c]!, b.data[c]!);
  }
  return sum / (a.width * a.height * 3);
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
