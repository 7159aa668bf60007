/**
 * Images that are stored turned or mirrored (Exif 2.32, 4.6.4, tag 0x0112).
 *
 * @module
 */

import type { Pixels } from "./pixels.ts";

/** For each orientation: whether rows and columns change places, and which then run backwards. */
const TURNS: Readonly<Record<number, { swap: boolean; flipX: boolean; flipY: boolean }>> = {
  2: { swap: false, flipX: true, flipY: false },
  3: { swap: false, flipX: true, flipY: true },
  4: { swap: false, flipX: false, flipY: true },
  5: { swap: true, flipX: false, flipY: false },
  6: { swap: true, flipX: false, flipY: true },
  7: { swap: true, flipX: true, flipY: true },
  8: { swap: true, flipX: true, flipY: false },
};

/**
 * Turns an image upright.
 *
 * @param orientation 1 to 8; 1 is upright.
 */
export function orient(image: Pixels, orientation: number): Pixels {
  const turn = TURNS[orientation];
  if (turn === undefined) return image;
  const { swap, flipX, flipY } = turn;
  const { width, height } = image;
  const [newWidth, newHeight] = swap ? [height, width] : [width, height];
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  let at = 0;
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      const [column, row] = swap ? [y, x] : [x, y];
      const storedX = flipX ? width - 1 - column : column;
      const storedY = flipY ? height - 1 - row : row;
      to[at++] = from[storedY * width + storedX]!;
    }
  }
  return { width: newWidth, height: newHeight, data: new Uint8ClampedArray(to.buffer) };
}
