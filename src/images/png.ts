/**
 * PNG files, by way of ImageScript's PNG module, which is plain JavaScript and needs no permission.
 * It is imported when first needed: programs that make no files can do without.
 *
 * @module
 */

import { checkPng } from "./png_chunks.ts";

/** Compression of zlib: beyond its default, images of noise and texture hardly get smaller. */
const LEVEL = 6;

/** The pixels of an image: RGBA, 8 bits each, row by row. */
export interface Pixels {
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
  /** Four bytes for each pixel. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Makes a PNG file of an image, without alpha if all of it is opaque. */
export async function encodePng({ data, width, height }: Pixels): Promise<Uint8Array<ArrayBuffer>> {
  const { encode } = await import("./imagescript.ts");
  if (!isOpaque(data)) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return encode(bytes, { width, height, channels: 4, level: LEVEL });
  }
  const colors = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    colors[to++] = data[from]!;
    colors[to++] = data[from + 1]!;
    colors[to++] = data[from + 2]!;
  }
  return encode(colors, { width, height, channels: 3, level: LEVEL });
}

/**
 * Reads a PNG file of 8 or 16 bits a channel, grey, in colour or with a palette. Of 16 bits, the
 * higher 8 are kept.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is interlaced or has fewer bits.
 */
export async function decodePng(file: Uint8Array): Promise<Pixels> {
  const { crc32, decode } = await import("./imagescript.ts");
  checkPng(file, crc32);
  try {
    const { width, height, buffer } = decode(file);
    return { width, height, data: new Uint8ClampedArray(buffer.buffer) };
  } catch (cause) {
    throw new SyntaxError("Cannot read the PNG file: its pixels are damaged", { cause });
  }
}

function isOpaque(data: Uint8ClampedArray): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}
