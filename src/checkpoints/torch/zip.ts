/**
 * Zip archives, read entry by entry: what torch files are made of.
 *
 * @module
 */

import { crc32 } from "./crc32.ts";
import { describeValue } from "../../base/check.ts";
import { inTurns, Pauses, type Steps } from "../../base/pauses.ts";
import { checkRange } from "../../files/paths.ts";
import type { FileSource } from "../../files/source.ts";

/** A file in an archive, as the directory of the archive describes it. */
interface ZipEntry {
  /** Offset of its local header. */
  readonly headerOffset: number;
  /** 0: stored, 8: deflated. */
  readonly method: number;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
}

/** Where the directory of an archive lies. */
interface DirectoryPlace {
  readonly offset: number;
  readonly length: number;
  readonly entries: number;
}

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const END_OF_DIRECTORY_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const LOCAL_HEADER_BYTES = 30;
const DIRECTORY_HEADER_BYTES = 46;
const END_BYTES = 22;
const LOCATOR_64_BYTES = 20;
const END_64_BYTES = 56;

/** Longest directory that is read: some hundred thousand entries. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;

/** Entries between two places where reading may be interrupted. */
const STEP = 1000;

/** Deflate cannot shrink data more than this. */
const MAX_DEFLATE_RATIO = 1032;

/** An open zip archive. It does not own its file. */
export class ZipArchive {
  readonly #file: FileSource;
  readonly #entries: ReadonlyMap<string, ZipEntry>;
  readonly #dataOffsets = new Map<string, Promise<number>>();

  private constructor(file: FileSource, entries: ReadonlyMap<string, ZipEntry>) {
    this.#file = file;
    this.#entries = entries;
  }

  /**
   * Reads and checks the directory of an archive.
   *
   * @throws {SyntaxError} If the archive is damaged.
   * @throws {TypeError} If it uses features that no torch file needs, such as encryption.
   */
  static async open(file: FileSource): Promise<ZipArchive> {
    const place = await findDirectory(file);
    if (place.length > MAX_DIRECTORY_BYTES) {
      throw damaged(file, `its directory is ${place.length} bytes long`);
    }
    const bytes = await file.read(place.offset, place.length);
    const entries = await inTurns(parseDirectory(file, bytes, place));
    checkOverlaps(file, entries);
    return new ZipArchive(file, entries);
  }

  /** Names of the files in the archive. */
  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Length of a file in the archive, or undefined if there is none of this name. */
  size(name: string): number | undefined {
    return this.#entries.get(name)?.size;
  }

  /** Whether a file in the archive is deflated, so that reading a part of it unpacks all before. */
  isPacked(name: string): boolean {
    return this.#entry(name).method !== 0;
  }

  /**
   * Reads a whole file and checks its checksum.
   *
   * @param maxSize Greatest length that is accepted.
   * @throws {RangeError} If there is none of this name, or it is longer.
   * @throws {SyntaxError} If it is damaged.
   */
  async read(name: string, maxSize: number): Promise<Uint8Array<ArrayBuffer>> {
    const { size, crc } = this.#entry(name);
    if (size > maxSize) {
      throw new RangeError(
        `Cannot read ${this.#describe(name)}: it is ${size} bytes long, at most ${maxSize} may be`,
      );
    }
    const bytes = await this.readRange(name, 0, size);
    if (await inTurns(crc32(bytes)) !== crc) {
      throw damaged(this.#file, `${describeValue(name)} does not fit its checksum`);
    }
    return bytes;
  }

  /**
   * Reads a part of a file, by a range read if it is stored.
   *
   * @throws {RangeError} If there is none of this name, or it is too short.
   * @throws {SyntaxError} If it is damaged.
   */
  async readRange(
    name: string,
    offset: number,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.#entry(name);
    checkRange(this.#describe(name), entry.size, offset, length);
    const begin = await this.#dataOffset(name, entry);
    if (entry.method === 0) return await this.#file.read(begin + offset, length);
    return await this.#inflate(name, entry, begin, offset, length);
  }

  #entry(name: string): ZipEntry {
    const entry = this.#entries.get(name);
    if (!entry) throw new RangeError(`Cannot read ${this.#describe(name)}: there is no such file`);
    return entry;
  }

  #describe(name: string): string {
    return `${describeValue(name)} in ${this.#file.description}`;
  }

  /** Where the data of an entry begins. A failure is not kept: a later call tries again. */
  #dataOffset(name: string, entry: ZipEntry): Promise<number> {
    let offset = this.#dataOffsets.get(name);
    if (!offset) {
      this.#dataOffsets.set(name, offset = this.#findData(name, entry));
      offset.catch(() => this.#dataOffsets.delete(name));
    }
    return offset;
  }

  /** The data follows the local header, which alone holds its own length. */
  async #findData(name: string, entry: ZipEntry): Promise<number> {
    const view = dataView(await this.#file.read(entry.headerOffset, LOCAL_HEADER_BYTES));
    if (view.getUint32(0, true) !== LOCAL_HEADER) {
      throw damaged(this.#file, `${describeValue(name)} has no header`);
    }
    const begin = entry.headerOffset + LOCAL_HEADER_BYTES + view.getUint16(26, true) +
      view.getUint16(28, true);
    if (begin + entry.compressedSize > this.#file.size) {
      throw damaged(this.#file, `${describeValue(name)} leads beyond the end of the file`);
    }
    return begin;
  }

  /** Unpacks an entry up to the end of the wanted part, and keeps only that. */
  async #inflate(
    name: string,
    entry: ZipEntry,
    begin: number,
    offset: number,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const compressed = chunksOf(this.#file, begin, entry.compressedSize);
    const reader = compressed.pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    const bytes = new Uint8Array(length);
    const pauses = new Pauses();
    let position = 0;
    try {
      while (position < offset + length) {
        const { done, value } = await reader.read();
        if (done) break;
        const part = value.subarray(
          Math.max(0, offset - position),
          Math.max(0, offset + length - position),
        );
        bytes.set(part, Math.max(0, position - offset));
        position += value.length;
        await pauses.takeIfDue();
      }
    } catch (cause) {
      throw damaged(this.#file, `${describeValue(name)} cannot be unpacked`, cause);
    } finally {
      await reader.cancel().catch(() => {});
    }
    if (position < offset + length) {
      throw damaged(
        this.#file,
        `${describeValue(name)} unpacks to ${position} bytes instead of ${entry.size}`,
      );
    }
    return bytes;
  }
}

async function findDirectory(file: FileSource): Promise<DirectoryPlace> {
  const tailLength = Math.min(file.size, END_BYTES + 0xffff + LOCATOR_64_BYTES);
  const tailOffset = file.size - tailLength;
  const view = dataView(await file.read(tailOffset, tailLength));
  let end = tailLength - END_BYTES;
  while (end >= 0) {
    const found = view.getUint32(end, true) === END_OF_DIRECTORY;
    if (found && end + END_BYTES + view.getUint16(end + 20, true) === tailLength) break;
    end--;
  }
  if (end < 0) throw damaged(file, "it has no zip directory, so its end is missing");
  const isLong = end >= LOCATOR_64_BYTES &&
    view.getUint32(end - LOCATOR_64_BYTES, true) === LOCATOR_64;
  const place = isLong
    ? await readEnd64(file, toNumber(file, view.getBigUint64(end - LOCATOR_64_BYTES + 8, true)))
    : {
      entries: view.getUint16(end + 10, true),
      length: view.getUint32(end + 12, true),
      offset: view.getUint32(end + 16, true),
    };
  if (place.offset + place.length > tailOffset + end) {
    throw damaged(file, "its zip directory leads beyond the end of the file");
  }
  return place;
}

async function readEnd64(file: FileSource, offset: number): Promise<DirectoryPlace> {
  if (offset + END_64_BYTES > file.size) throw damaged(file, "its zip directory is out of range");
  const view = dataView(await file.read(offset, END_64_BYTES));
  if (view.getUint32(0, true) !== END_OF_DIRECTORY_64) {
    throw damaged(file, "its zip directory is not where it should be");
  }
  return {
    entries: toNumber(file, view.getBigUint64(32, true)),
    length: toNumber(file, view.getBigUint64(40, true)),
    offset: toNumber(file, view.getBigUint64(48, true)),
  };
}

function* parseDirectory(
  file: FileSource,
  bytes: Uint8Array<ArrayBuffer>,
  place: DirectoryPlace,
): Steps<Map<string, ZipEntry>> {
  const entries = new Map<string, ZipEntry>();
  const view = dataView(bytes);
  let position = 0;
  while (position + DIRECTORY_HEADER_BYTES <= bytes.length) {
    if (view.getUint32(position, true) !== DIRECTORY_HEADER) break;
    const nameLength = view.getUint16(position + 28, true);
    const extraLength = view.getUint16(position + 30, true);
    const next = position + DIRECTORY_HEADER_BYTES + nameLength + extraLength +
      view.getUint16(position + 32, true);
    if (next > bytes.length) throw damaged(file, "its zip directory is cut off");
    const nameOffset = position + DIRECTORY_HEADER_BYTES;
    const name = new TextDecoder().decode(bytes.subarray(nameOffset, nameOffset + nameLength));
    if (entries.has(name)) {
      throw damaged(file, `${describeValue(name)} occurs twice in its zip directory`);
    }
    const extra = dataView(bytes.subarray(nameOffset + nameLength).subarray(0, extraLength));
    const header = dataView(bytes.subarray(position, nameOffset));
    entries.set(name, parseEntry(file, name, header, extra, place.offset));
    position = next;
    if (entries.size % STEP === 0) yield;
  }
  if (position !== bytes.length || entries.size !== place.entries) {
    throw damaged(file, `its zip directory has ${entries.size} of ${place.entries} entries`);
  }
  return entries;
}

function parseEntry(
  file: FileSource,
  name: string,
  header: DataView,
  extra: DataView,
  directoryOffset: number,
): ZipEntry {
  const method = header.getUint16(10, true);
  if (header.getUint16(8, true) & 1) {
    throw new TypeError(`Cannot read ${file.description}: ${describeValue(name)} is encrypted`);
  }
  if (method !== 0 && method !== 8) {
    throw new TypeError(
      `Cannot read ${file.description}: ${
        describeValue(name)
      } uses the compression method ${method}`,
    );
  }
  const fields = [24, 20, 42].map((offset) => header.getUint32(offset, true));
  const [size = 0, compressedSize = 0, headerOffset = 0] = longFields(file, name, fields, extra);
  if (headerOffset + LOCAL_HEADER_BYTES + compressedSize > directoryOffset) {
    throw damaged(file, `${describeValue(name)} leads beyond the end of the file`);
  }
  const fits = method === 0
    ? size === compressedSize
    : size <= compressedSize * MAX_DEFLATE_RATIO + 64;
  if (!fits) {
    throw damaged(file, `${describeValue(name)} cannot have ${size} bytes in ${compressedSize}`);
  }
  return { headerOffset, method, crc: header.getUint32(16, true), compressedSize, size };
}

/** Replaces the fields that are all ones by those of the zip64 extra field, which has only these. */
function longFields(file: FileSource, name: string, fields: number[], extra: DataView): number[] {
  if (!fields.includes(0xffffffff)) return fields;
  for (let i = 0; i + 4 <= extra.byteLength;) {
    const end = i + 4 + extra.getUint16(i + 2, true);
    if (extra.getUint16(i, true) === 1 && end <= extra.byteLength) {
      let position = i + 4;
      return fields.map((field) => {
        if (field !== 0xffffffff) return field;
        if (position + 8 > end) {
          throw damaged(file, `${describeValue(name)} has a damaged zip64 field`);
        }
        position += 8;
        return toNumber(file, extra.getBigUint64(position - 8, true));
      });
    }
    i = end;
  }
  throw damaged(file, `${describeValue(name)} has no zip64 field`);
}

/** Overlapping entries are how small archives pretend to hold much. */
function checkOverlaps(file: FileSource, entries: ReadonlyMap<string, ZipEntry>): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.headerOffset - b.headerOffset);
  let end = 0;
  for (const [name, { headerOffset, compressedSize }] of sorted) {
    if (headerOffset < end) throw damaged(file, `${describeValue(name)} overlaps another entry`);
    end = headerOffset + LOCAL_HEADER_BYTES + compressedSize;
  }
}

/** Bytes that are read at once to be unpacked. */
const READ_BYTES = 2 ** 20;

/** Bytes that are unpacked at once: what they stand for can be a thousand times as long. */
const UNPACK_BYTES = 2 ** 14;

/** Bytes of a file as a stream that reads when they are wanted. */
function chunksOf(
  file: FileSource,
  begin: number,
  length: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let position = 0;
  let read = new Uint8Array();
  return new ReadableStream({
    async pull(controller) {
      if (read.length === 0) {
        const count = Math.min(READ_BYTES, length - position);
        if (count === 0) return controller.close();
        read = await file.read(begin + position, count);
        position += count;
      }
      controller.enqueue(read.slice(0, UNPACK_BYTES));
      read = read.subarray(UNPACK_BYTES);
    },
  });
}

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toNumber(file: FileSource, value: bigint): number {
  if (value > Number.MAX_SAFE_INTEGER) throw damaged(file, `${value} is not an offset in it`);
  return Number(value);
}

function damaged(file: FileSource, what: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${file.description}: ${what}`, { cause });
}
