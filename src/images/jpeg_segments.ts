/**
 * What is checked of a JPEG file before it is decoded, and what decoders leave out (ITU-T T.81, annex
 * B; Exif 2.32, 4.6).
 *
 * @module
 */

/** What the segments of a JPEG file say. */
export interface JpegInfo {
  /** Pixels in a row as it is stored. */
  readonly width: number;
  /** Number of rows as it is stored. */
  readonly height: number;
  /** Exif orientation, 1 to 8: how the stored pixels are to be turned. */
  readonly orientation: number;
  /** Whether three channels are red, green and blue, and not luminance and colour differences. */
  readonly isRgb: boolean;
}

/** Frames that are read: baseline, extended and progressive, in Huffman code. */
const FRAMES = [0xc0, 0xc1, 0xc2];

/** Frames of other kinds: lossless, hierarchical, in arithmetic code. */
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf];

const [END, SCAN, EXIF, ADOBE] = [0xd9, 0xda, 0xe1, 0xee];

/** The most pixels of a byte: a block of 64 takes at least a bit. */
const MAX_EXPANSION = 512;

/** The most scans: each goes over the whole image, however short it is. */
const MAX_SCANS = 200;

/** Tag of the orientation in an Exif directory. */
const ORIENTATION = 0x0112;

/**
 * Reads the segments of a JPEG file, and checks that its pixels cannot take more memory than the size
 * of the file lets expect.
 *
 * @param maxPixels The most pixels that are read.
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it is of a kind that is not read.
 * @throws {RangeError} If it has more pixels.
 */
export function readJpegInfo(file: Uint8Array, maxPixels: number): JpegInfo {
  if (!isJpeg(file)) throw damagedJpeg("it is no JPEG file");
  let frame: Frame | undefined;
  let orientation = 1;
  let adobe: number | undefined;
  let scans = 0;
  for (const { marker, data } of segments(file)) {
    if (OTHER_FRAMES.includes(marker)) refuseKind("lossless, hierarchical or in arithmetic code");
    if (FRAMES.includes(marker)) {
      if (frame !== undefined) throw damagedJpeg("it has several frames");
      frame = readFrame(data);
    }
    if (marker === SCAN && ++scans > MAX_SCANS) throw damagedJpeg(`it has over ${MAX_SCANS} scans`);
    if (marker === EXIF) orientation = orientationOf(data) ?? orientation;
    if (marker === ADOBE && text(data, 0, 5) === "Adobe") adobe = data[11];
  }
  if (frame === undefined || scans === 0) throw damagedJpeg("it has no image");
  const { width, height, ids } = frame;
  if (width * height > file.length * MAX_EXPANSION) {
    throw damagedJpeg(`it has ${file.length} bytes, too few for ${width} × ${height} pixels`);
  }
  if (width * height > maxPixels) {
    throw new RangeError(
      `Cannot read the JPEG file: it is ${width} × ${height} pixels, expected at most ${maxPixels} pixels`,
    );
  }
  // Without Adobe's segment, the names of the channels tell, as in libjpeg.
  const isRgb = ids.length === 3 && (adobe === undefined ? ids === "RGB" : adobe === 0);
  return { width, height, orientation, isRgb };
}

/** Whether a file begins as JPEG files do. */
export function isJpeg(file: Uint8Array): boolean {
  return file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff;
}

/** The error of a file that does not say what it should. */
export function damagedJpeg(reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read the JPEG file: ${reason}`, { cause });
}

interface Segment {
  readonly marker: number;
  /** What follows the length. */
  readonly data: Uint8Array;
}

/** The segments up to the end of the image; what is in the scans is skipped. */
function* segments(file: Uint8Array): Generator<Segment> {
  for (let offset = 2;;) {
    while (file[offset] === 0xff && file[offset + 1] === 0xff) offset++;
    const marker = file[offset + 1];
    if (marker === undefined) throw damagedJpeg("it ends too early");
    if (file[offset] !== 0xff) throw damagedJpeg(`there is no segment at byte ${offset}`);
    if (marker === END) return;
    const length = (file[offset + 2]! << 8) | file[offset + 3]!;
    const end = offset + 2 + length;
    if (length < 2 || end > file.length) throw damagedJpeg("it ends inside of a segment");
    yield { marker, data: file.subarray(offset + 4, end) };
    offset = marker === SCAN ? endOfScan(file, end) : end;
  }
}

/** Where the next segment begins: a marker that neither restarts nor stands for a byte of 255. */
function endOfScan(file: Uint8Array, start: number): number {
  for (let offset = start;; offset++) {
    offset = file.indexOf(0xff, offset);
    if (offset < 0) throw damagedJpeg("it ends inside of a scan");
    const next = file[offset + 1];
    const isMarker = next !== 0 && next !== 0xff && !(next! >= 0xd0 && next! <= 0xd7);
    if (isMarker) return offset;
  }
}

interface Frame {
  readonly width: number;
  readonly height: number;
  /** Names of the channels, one letter each. */
  readonly ids: string;
}

function readFrame(data: Uint8Array): Frame {
  if (data.length < 6 || data.length < 6 + 3 * data[5]!) throw damagedJpeg("its frame is cut off");
  const [precision, channels] = [data[0]!, data[5]!];
  const height = (data[1]! << 8) | data[2]!;
  const width = (data[3]! << 8) | data[4]!;
  if (precision !== 8) refuseKind(`${precision} bits a channel`);
  if (![1, 3, 4].includes(channels)) refuseKind(`${channels} channels`);
  if (width === 0 || height === 0) throw damagedJpeg(`it is ${width} × ${height} pixels`);
  let ids = "";
  for (let i = 0; i < channels; i++) {
    const [id, sampling] = [data[6 + 3 * i]!, data[7 + 3 * i]!];
    const fits = [sampling >> 4, sampling & 15].every((factor) => factor >= 1 && factor <= 4);
    if (!fits) throw damagedJpeg(`a channel is sampled by ${sampling >> 4} × ${sampling & 15}`);
    ids += String.fromCharCode(id);
  }
  return { width, height, ids };
}

function refuseKind(kind: string): never {
  throw new TypeError(
    `Cannot read the JPEG file: it is of the kind ${kind}, which is not supported`,
  );
}

/** The orientation of an Exif segment; undefined if it has none, or none with a meaning. */
function orientationOf(data: Uint8Array): number | undefined {
  if (text(data, 0, 6) !== "Exif\0\0") return undefined;
  const tiff = data.subarray(6);
  const order = text(tiff, 0, 2);
  if (order !== "II" && order !== "MM") return undefined;
  const little = order === "II";
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return undefined;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return undefined;
  const entries = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < entries && at + 12 <= tiff.length; i++, at += 12) {
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : undefined;
  }
  return undefined;
}

function text(data: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...data.subarray(start, end));
}
