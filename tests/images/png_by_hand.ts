// PNG files made and read without the library: with the platform's deflate.

import { assert, assertEquals } from "@std/assert";

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Sends bytes through a stream that compresses or expands. */
async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  return await new Response(new Blob([bytes]).stream().pipeThrough(stream)).bytes();
}

function concat(parts: readonly (readonly number[] | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** A chunk with its length and checksum. */
export function chunk(type: string, data: readonly number[] | Uint8Array): Uint8Array {
  const content = concat([new TextEncoder().encode(type), data]);
  return concat([uint32(data.length), content, uint32(crc32(content))]);
}

/** The chunk of the header. */
export function header(
  width: number,
  height: number,
  depth: number,
  colorType: number,
  interlaced: 0 | 1 | 2 = 0,
): Uint8Array {
  return chunk("IHDR", [...uint32(width), ...uint32(height), depth, colorType, 0, 0, interlaced]);
}

/** A file of chunks and rows, each with the number of its filter before it. */
export async function pngFile(
  head: Uint8Array,
  chunks: readonly Uint8Array[],
  rows: readonly number[],
): Promise<Uint8Array<ArrayBuffer>> {
  const data = await through(new Uint8Array(rows), new CompressionStream("deflate"));
  const signature = [137, 80, 78, 71, 13, 10, 26, 10];
  return concat([signature, head, ...chunks, chunk("IDAT", data), chunk("IEND", [])]);
}

/** Reads a file of unfiltered RGB or RGBA rows and checks all of it. */
export async function readPng(
  file: Uint8Array<ArrayBuffer>,
): Promise<{ width: number; height: number; data: Uint8ClampedArray }> {
  const view = new DataView(file.buffer);
  const chunks = new Map<string, Uint8Array<ArrayBuffer>>();
  let offset = 8;
  while (offset < file.length) {
    const end = offset + 12 + view.getUint32(offset);
    const type = new TextDecoder().decode(file.subarray(offset + 4, offset + 8));
    assert(!chunks.has(type));
    assertEquals(view.getUint32(end - 4), crc32(file.subarray(offset + 4, end - 4)));
    chunks.set(type, file.slice(offset + 8, end - 4));
    offset = end;
  }
  assertEquals([...chunks.keys()], ["IHDR", "IDAT", "IEND"]);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const channels = file[25] === 2 ? 3 : 4;
  assertEquals([...file.subarray(24, 29)], [8, channels === 3 ? 2 : 6, 0, 0, 0]);
  const rows = await through(chunks.get("IDAT")!, new DecompressionStream("deflate"));
  const rowLength = 1 + width * channels;
  assertEquals(rows.length, height * rowLength);
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const row = Math.floor(pixel / width) * rowLength;
    assertEquals(rows[row], 0);
    const from = row + 1 + (pixel % width) * channels;
    data.set(rows.subarray(from, from + channels), pixel * 4);
  }
  return { width, height, data };
}
