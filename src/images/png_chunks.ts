/**
 * What is checked of a PNG file before it is decoded (PNG specification, third edition).
 *
 * @module
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** Bytes of a chunk beside its data: length, type, checksum. */
const CHUNK_OVERHEAD = 12;

/** Channels of each colour type. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** The most that deflate makes of a byte. */
const MAX_EXPANSION = 1032;

/** The most bytes of pixels that are read, far above what models make. */
const MAX_BYTES = 2 ** 30;

/**
 * Checks the chunks of a PNG file, and that its pixels cannot take more memory than the size of the
 * file lets expect.
 *
 * @param crc32 Checksum of the type and the data of a chunk.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is interlaced or has fewer than 8 bits a channel.
 */
export function checkPng(file: Uint8Array, crc32: (bytes: Uint8Array) => number): void {
  if (!SIGNATURE.every((byte, i) => file[i] === byte)) throw damaged("it is no PNG file");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const counts: Record<string, number> = {};
  let compressed = 0;
  let pixelBytes = 0;
  for (let offset = SIGNATURE.length; counts["IEND"] === undefined;) {
    if (offset + CHUNK_OVERHEAD > file.length) throw damaged("it ends too early");
    const length = view.getUint32(offset);
    const type = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    const end = offset + CHUNK_OVERHEAD + length;
    if (end > file.length) throw damaged(`it ends inside of the chunk ${JSON.stringify(type)}`);
    if (crc32(file.subarray(offset + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw damaged(`the checksum of the chunk ${JSON.stringify(type)} is wrong`);
    }
    if (offset === SIGNATURE.length) {
      if (type !== "IHDR" || length !== 13) throw damaged("its first chunk is no header");
      pixelBytes = sizeOfPixels(new DataView(file.buffer, file.byteOffset + offset + 8, length));
    }
    if (type === "IDAT") compressed += length;
    counts[type] = (counts[type] ?? 0) + 1;
    offset = end;
  }
  if (counts["IHDR"] !== 1) throw damaged(`it has ${counts["IHDR"]} headers`);
  if (pixelBytes > compressed * MAX_EXPANSION) {
    throw damaged(`it has ${compressed} bytes for the pixels, too few for ${pixelBytes}`);
  }
}

/** Bytes of the pixels by what the header says, which is checked. */
function sizeOfPixels(header: DataView): number {
  const width = header.getUint32(0);
  const height = header.getUint32(4);
  const depth = header.getUint8(8);
  const channels = CHANNELS[header.getUint8(9)];
  if (channels === undefined) throw damaged(`it has the colour type ${header.getUint8(9)}`);
  if (depth !== 8 && depth !== 16) {
    throw new TypeError(
      `Cannot read the PNG file: it has ${depth} bits a channel, expected 8 or 16`,
    );
  }
  if (header.getUint8(12) !== 0) {
    throw new TypeError("Cannot read the PNG file: it is interlaced, which is not supported");
  }
  const bytes = height * (1 + width * channels * (depth / 8));
  if (width === 0 || height === 0 || 4 * width * height > MAX_BYTES || bytes > MAX_BYTES) {
    throw damaged(`it is ${width} × ${height} pixels`);
  }
  return bytes;
}

function damaged(reason: string): SyntaxError {
  return new SyntaxError(`Cannot read the PNG file: ${reason}`);
}
