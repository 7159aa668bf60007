/**
 * PNG files, by way of ImageScript's PNG modules. To be imported dynamically: programs that read and
 * write no files can do without.
 *
 * @module
 */

import { crc32, decompress, encode } from "./imagescript.ts";
import type { Pixels } from "./pixels.ts";
import { damagedPng, readPngChunks } from "./png_chunks.ts";
import { pixelsOf } from "./png_rows.ts";

/** Where this module is, for other threads. */
export const moduleUrl: string = import.meta.url;

/** Compression of zlib: beyond its default, images of noise and texture hardly get smaller. */
const LEVEL = 6;

/** Makes a PNG file of an image, without alpha if all of it is opaque. */
export function encodePng({ data, width, height }: Pixels): Uint8Array<ArrayBuffer> {
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
 * Reads a PNG file of any colour type, depth and interlacing. Of 16 bits, the higher 8 are kept.
 *
 * @param maxPixels The most pixels that are read.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {RangeError} If it has more pixels.
 */
export function decodePng(file: Uint8Array, maxPixels: number): Pixels {
  const chunks = readPngChunks(file, crc32, maxPixels);
  const { width, height, expandedBytes } = chunks;
  let rows: Uint8Array;
  try {
    rows = decompress(concat(chunks.compressed), expandedBytes);
  } catch (cause) {
    throw damagedPng("its pixels are damaged", cause);
  }
  if (rows.length !== expandedBytes) throw damagedPng("its pixels end too early");
  return { width, height, data: pixelsOf(chunks, rows) };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

function isOpaque(data: Uint8ClampedArray): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}
