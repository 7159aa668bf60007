/**
 * From the expanded rows of a PNG file to pixels: filters, interlacing, bits and colours (PNG
 * specification, third edition, chapters 7 to 9 and 13).
 *
 * @module
 */

import { damagedPng, passesOf, type PngChunks, rowBytes } from "./png_chunks.ts";

/**
 * Makes RGBA pixels, 8 bits a channel, of the rows of a file. Of 16 bits, the higher 8 are kept.
 *
 * @param rows The rows of all passes, each after the number of its filter; overwritten.
 * @throws {SyntaxError} If a filter or a colour does not exist.
 */
export function pixelsOf(chunks: PngChunks, rows: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(chunks.width * chunks.height * 4);
  const samples = new Uint8Array(chunks.width * chunks.channels);
  const write = pixelWriter(chunks, pixels);
  const pixelBytes = Math.ceil(chunks.channels * chunks.depth / 8);
  let offset = 0;
  for (const pass of passesOf(chunks)) {
    const bytes = rowBytes(chunks, pass.width);
    let above: Uint8Array = new Uint8Array(bytes);
    for (let y = 0; y < pass.height; y++) {
      const row = rows.subarray(offset + 1, offset + 1 + bytes);
      unfilter(rows[offset]!, row, above, pixelBytes);
      above = row;
      offset += 1 + bytes;
      readSamples(row, chunks.depth, samples, pass.width * chunks.channels);
      const line = (pass.top + y * pass.stepY) * chunks.width + pass.left;
      for (let x = 0; x < pass.width; x++) write(samples, row, x, 4 * (line + x * pass.stepX));
    }
  }
  return pixels;
}

/** Adds to the bytes of a row what its filter predicts. */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array, pixelBytes: number): void {
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = pixelBytes; i < row.length; i++) row[i]! += row[i - pixelBytes]!;
      return;
    case 2:
      for (let i = 0; i < row.length; i++) row[i]! += above[i]!;
      return;
    case 3:
      for (let i = 0; i < row.length; i++) {
        const left = i < pixelBytes ? 0 : row[i - pixelBytes]!;
        row[i]! += (left + above[i]!) >> 1;
      }
      return;
    case 4:
      for (let i = 0; i < row.length; i++) {
        const isFirst = i < pixelBytes;
        const left = isFirst ? 0 : row[i - pixelBytes]!;
        row[i]! += paeth(left, above[i]!, isFirst ? 0 : above[i - pixelBytes]!);
      }
      return;
    default:
      throw damagedPng(`a row has the filter ${filter}`);
  }
}

/** Which of three neighbours is nearest to left + above − corner; of equals the first. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** The samples of a row, the higher bytes of 16 bits, not scaled. */
function readSamples(row: Uint8Array, depth: number, samples: Uint8Array, count: number): void {
  if (depth === 8) return samples.set(row);
  if (depth === 16) {
    for (let i = 0; i < count; i++) samples[i] = row[2 * i]!;
    return;
  }
  const mask = (1 << depth) - 1;
  for (let i = 0; i < count; i++) {
    const bit = i * depth;
    samples[i] = (row[bit >> 3]! >> (8 - depth - (bit & 7))) & mask;
  }
}

/** Writes pixel x of a row, whose samples and bytes are given, to `at`. */
type PixelWriter = (samples: Uint8Array, row: Uint8Array, x: number, at: number) => void;

function pixelWriter(chunks: PngChunks, pixels: Uint8ClampedArray): PixelWriter {
  const { colorType, channels, depth } = chunks;
  if (colorType === 3) return paletteWriter(chunks, pixels);
  const scale = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  const isColor = channels >= 3;
  const isTransparent = keyTest(chunks);
  return (samples, row, x, at) => {
    const from = x * channels;
    const first = samples[from]! * scale;
    pixels[at] = first;
    pixels[at + 1] = isColor ? samples[from + 1]! : first;
    pixels[at + 2] = isColor ? samples[from + 2]! : first;
    if (channels % 2 === 0) pixels[at + 3] = samples[from + channels - 1]!;
    else pixels[at + 3] = isTransparent?.(samples, row, from) ? 0 : 255;
  };
}

/** Tests whether the samples from an index on are of the colour that is transparent, if there is one. */
function keyTest({ transparency, channels, depth }: PngChunks) {
  // With an alpha channel there is none.
  if (transparency === undefined || channels % 2 === 0) return undefined;
  if (transparency.length !== 2 * channels) {
    throw damagedPng(`its transparent colour has ${transparency.length} bytes`);
  }
  const key = Array.from({ length: channels }, (_, i) => {
    return (transparency[2 * i]! << 8) | transparency[2 * i + 1]!;
  });
  return (samples: Uint8Array, row: Uint8Array, from: number): boolean =>
    key.every((value, i) => {
      const at = from + i;
      return value === (depth === 16 ? (row[2 * at]! << 8) | row[2 * at + 1]! : samples[at]!);
    });
}

function paletteWriter(chunks: PngChunks, pixels: Uint8ClampedArray): PixelWriter {
  const { palette, transparency } = chunks;
  if (palette === undefined || palette.length % 3 !== 0) throw damagedPng("it has no palette");
  const alpha = transparency ?? new Uint8Array(0);
  return (samples, _row, x, at) => {
    const index = samples[x]!;
    if (3 * index >= palette.length) throw damagedPng(`its palette has no colour ${index}`);
    pixels[at] = palette[3 * index]!;
    pixels[at + 1] = palette[3 * index + 1]!;
    pixels[at + 2] = palette[3 * index + 2]!;
    pixels[at + 3] = alpha[index] ?? 255;
  };
}
