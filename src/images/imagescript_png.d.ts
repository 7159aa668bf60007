// Declarations of what is used of the PNG module of ImageScript, which has none for it.

/** What {@linkcode encode} is told about the pixels. */
export interface EncodeOptions {
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
  /** Bytes of a pixel: grey, grey and alpha, RGB, RGBA. */
  readonly channels: 1 | 2 | 3 | 4;
  /**
   * Compression, 1 to 9. (At 0, the default, images of more than 64 KiB come out damaged.)
   */
  readonly level: number;
}

/** Encodes pixels, row by row. */
export function encode(data: Uint8Array, options: EncodeOptions): Uint8Array<ArrayBuffer>;
