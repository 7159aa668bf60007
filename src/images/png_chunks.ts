/**
 * The chunks of a PNG file, checked before anything is decoded (PNG specification, third edition).
 *
 * @module
 */

import { describeValue } from "../base/check.ts";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** Bytes of a chunk beside its data: length, type, checksum. */
const CHUNK_OVERHEAD = 12;

/** Channels of each colour type, and the bits that a channel may have. */
const COLOR_TYPES: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

/** The most that deflate makes of a byte. */
const MAX_EXPANSION = 1032;

/** Bytes that the compressed pixels may take beyond twice the pixels themselves. */
const MAX_WASTE = 2 ** 20;

/** What the header of a file says. */
export interface PngHeader {
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
  /** Bits of a channel: 1, 2, 4, 8 or 16. */
  readonly depth: number;
  /** 0 grey, 2 colour, 3 palette, 4 grey with alpha, 6 colour with alpha. */
  readonly colorType: number;
  /** Channels of a pixel as it is stored. */
  readonly channels: number;
  /** Whether the pixels come in seven passes (Adam7). */
  readonly interlaced: boolean;
}

/** A pass over an image: which pixels it has. Without interlacing there is one, of all. */
export interface PngPass {
  /** Column of the first pixel. */
  readonly left: number;
  /** Row of the first pixel. */
  readonly top: number;
  /** Columns from one pixel to the next. */
  readonly stepX: number;
  /** Rows from one row to the next. */
  readonly stepY: number;
  /** Pixels in a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
}

/** What a PNG file consists of. */
export interface PngChunks extends PngHeader {
  /** Red, green and blue of each entry of the palette. */
  readonly palette: Uint8Array | undefined;
  /** Alpha of the first entries of the palette, or the colour that is transparent, 16 bits a channel. */
  readonly transparency: Uint8Array | undefined;
  /** The rows of all passes, each after the number of its filter, compressed. */
  readonly compressed: readonly Uint8Array[];
  /** Bytes that these rows take when they are expanded. */
  readonly expandedBytes: number;
}

/**
 * Reads the chunks of a PNG file, and checks that its pixels cannot take more memory than the size of
 * the file lets expect.
 *
 * @param crc32 Checksum of the type and the data of a chunk.
 * @param maxPixels The most pixels that are read.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {RangeError} If it has more pixels.
 */
export function readPngChunks(
  file: Uint8Array,
  crc32: (bytes: Uint8Array) => number,
  maxPixels: number,
): PngChunks {
  if (!isPng(file)) throw damagedPng("it is no PNG file");
  const chunks = splitChunks(file, crc32);
  const of = (type: string) =>
    chunks.filter((chunk) => chunk.type === type).map(({ data }) => data);
  const headers = of("IHDR");
  if (chunks[0]?.type !== "IHDR" || headers[0]?.length !== 13) {
    throw damagedPng("its first chunk is no header");
  }
  if (headers.length !== 1) throw damagedPng(`it has ${headers.length} headers`);
  const header = readHeader(headers[0]);
  const expandedBytes = passesOf(header).reduce((sum, pass) => {
    return sum + pass.height * (1 + rowBytes(header, pass.width));
  }, 0);
  const compressed = of("IDAT");
  const bytes = compressed.reduce((sum, { length }) => sum + length, 0);
  const few = expandedBytes > bytes * MAX_EXPANSION;
  if (few || bytes > 2 * expandedBytes + MAX_WASTE) {
    const wrong = few ? "few" : "many";
    throw damagedPng(`it has ${bytes} bytes for the pixels, too ${wrong} for ${expandedBytes}`);
  }
  if (header.width * header.height > maxPixels) {
    throw new RangeError(
      `Cannot read the PNG file: it is ${header.width} × ${header.height} pixels, expected at most ${maxPixels} pixels`,
    );
  }
  const [palette] = of("PLTE");
  const [transparency] = of("tRNS");
  return { ...header, palette, transparency, compressed, expandedBytes };
}

/** Whether a file begins as PNG files do. */
export function isPng(file: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => file[i] === byte);
}

/** What a file that begins as PNG files do says of its size, not checked. */
export function pngSize(file: Uint8Array): { readonly width: number; readonly height: number } {
  if (file.length < 24) return { width: 0, height: 0 };
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** The passes over an image that have pixels. */
export function passesOf({ width, height, interlaced }: PngHeader): PngPass[] {
  const passes = interlaced
    ? [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [
      0,
      1,
      1,
      2,
    ]]
    : [[0, 0, 1, 1]];
  return (passes as [number, number, number, number][]).map(([left, top, stepX, stepY]) => ({
    left,
    top,
    stepX,
    stepY,
    width: Math.ceil((width - left) / stepX),
    height: Math.ceil((height - top) / stepY),
  })).filter((pass) => pass.width > 0 && pass.height > 0);
}

/** Bytes of a row of so many pixels, without the number of its filter. */
export function rowBytes({ channels, depth }: PngHeader, width: number): number {
  return Math.ceil(width * channels * depth / 8);
}

/** The error of a file that does not say what it should. */
export function damagedPng(reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read the PNG file: ${reason}`, { cause });
}

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/** All chunks up to the last, whose checksums are right. */
function splitChunks(file: Uint8Array, crc32: (bytes: Uint8Array) => number): Chunk[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks: Chunk[] = [];
  for (let offset = SIGNATURE.length; chunks.at(-1)?.type !== "IEND";) {
    if (offset + CHUNK_OVERHEAD > file.length) throw damagedPng("it ends too early");
    const length = view.getUint32(offset);
    const type = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    const end = offset + CHUNK_OVERHEAD + length;
    if (end > file.length) throw damagedPng(`it ends inside of the chunk ${describeValue(type)}`);
    if (crc32(file.subarray(offset + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw damagedPng(`the checksum of the chunk ${describeValue(type)} is wrong`);
    }
    chunks.push({ type, data: file.subarray(offset + 8, end - 4) });
    offset = end;
  }
  return chunks;
}

function readHeader(data: Uint8Array): PngHeader {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const depth = view.getUint8(8);
  const colorType = view.getUint8(9);
  const kind = COLOR_TYPES[colorType];
  if (kind === undefined) throw damagedPng(`it has the colour type ${colorType}`);
  const { channels, depths } = kind;
  if (!depths.includes(depth)) {
    throw damagedPng(`it has ${depth} bits a channel, expected ${depths.join(", ")}`);
  }
  const [compression, filter, interlace] = data.subarray(10) as Uint8Array & [
    number,
    number,
    number,
  ];
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    throw damagedPng(
      `its compression, filter and interlacing are ${[compression, filter, interlace]}`,
    );
  }
  if (width === 0 || height === 0) throw damagedPng(`it is ${width} × ${height} pixels`);
  return { width, height, depth, colorType, channels, interlaced: interlace === 1 };
}
