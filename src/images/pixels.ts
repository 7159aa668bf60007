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
