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

/** Images have at most this many pixels, so that their bytes fit into an array everywhere. */
export const MAX_PIXELS: number = 2 ** 28;
