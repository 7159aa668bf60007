/**
 * Repainting a part of a picture: which tokens are drawn, and which pixels are shown.
 *
 * Tokens outside of the part are held at x_0, those of the picture, from the first step to the last. A
 * sample of q(x_t | x_0) would be the other choice, but it is masked nearly everywhere at first, and a
 * token that has been drawn is seldom drawn again: all that are drawn in the first steps would be drawn
 * without what surrounds them. The network trusts what it is given: Microsoft's schedule masks tokens
 * and hardly ever replaces them, so that at any timestep one that is not masked is right.
 * `docs/editing.md` has a measurement with the embedded model, whose schedule replaces more.
 *
 * @module
 */

import type { RasterImage } from "../images/raster_image.ts";
import { whiteOf } from "./mask.ts";

/** A part of a picture that is repainted. */
export interface Inpainting {
  /** For each token (pixels) 1 if it is drawn, 0 if it is held. */
  readonly isDrawn: Uint8Array;
  /** What is repainted, (height, width, 3) in 0 … 1. */
  readonly picture: Float32Array;
  /** How much of what was drawn is shown, (height, width) in 0 … 1: 0 outside of the mask. */
  readonly opacity: Float32Array;
}

/** Pixels of the seam: as many as of 32 of a side, and at least so many. */
const [SIDE_OF_SEAM, LEAST_SEAM] = [32, 4];

/**
 * Finds what is repainted of a picture: the tokens that the mask touches.
 *
 * @param picture The picture in the size that it is drawn in.
 * @param mask The mask, fitted as the picture was.
 * @param tokensOfSide Tokens in a row and in a column.
 */
export function inpaintingOf(
  picture: RasterImage,
  mask: RasterImage,
  tokensOfSide: number,
): Inpainting {
  const { width } = picture;
  const isInside = whiteOf(mask).map((white) => white > 0 ? 1 : 0);
  const side = width / tokensOfSide;
  const isDrawn = new Uint8Array(tokensOfSide ** 2);
  isInside.forEach((inside, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (inside) isDrawn[Math.floor(y / side) * tokensOfSide + Math.floor(x / side)] = 1;
  });
  const distances = distancesOutside(isInside, width);
  // In what is narrow the seam is too, so that all of what is drawn shows somewhere.
  const middle = distances.reduce((most, distance) => Math.max(most, distance), 0);
  const seam = Math.min(Math.max(LEAST_SEAM, Math.round(width / SIDE_OF_SEAM)), middle - 1);
  const opacity = distances.map((distance) => Math.min(1, distance / (seam + 1)));
  return { isDrawn, picture: picture.toFloat32(), opacity };
}

/** Puts what was not repainted back into a drawn image (height, width, 3) in 0 … 1. */
export function paste(drawn: Float32Array, { picture, opacity }: Inpainting): void {
  for (let i = 0; i < drawn.length; i++) {
    const share = opacity[Math.floor(i / 3)]!;
    // Exactly the picture where nothing is shown of what was drawn.
    drawn[i] = share === 0 ? picture[i]! : picture[i]! + share * (drawn[i]! - picture[i]!);
  }
}

/** Steps to the nearest pixel outside, also across corners; none outside: infinite. */
function distancesOutside(isInside: Uint8Array, width: number): Float32Array {
  const distances = Float32Array.from(isInside, (inside) => inside ? Infinity : 0);
  const nearer = (i: number, neighbours: readonly (readonly [dx: number, dy: number])[]) => {
    for (const [dx, dy] of neighbours) {
      const x = i % width + dx;
      const other = distances[i + dy * width + dx];
      if (x >= 0 && x < width && other! + 1 < distances[i]!) distances[i] = other! + 1;
    }
  };
  const before = [[-1, -1], [0, -1], [1, -1], [-1, 0]] as const;
  const after = [[1, 1], [0, 1], [-1, 1], [1, 0]] as const;
  for (let i = 0; i < distances.length; i++) nearer(i, before);
  for (let i = distances.length - 1; i >= 0; i--) nearer(i, after);
  return distances;
}
