/**
 * The header of a safetensors file, and all checks of it.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import type { Steps } from "../base/pauses.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { parseJson } from "../base/json.ts";
import { sorted } from "../base/sort.ts";
import { elementCount } from "../base/shapes.ts";
import { isStoredDType, STORED_DTYPES, type StoredDType } from "../base/dtypes.ts";

/** Where an array lies in a safetensors file. */
export interface SafetensorsEntry {
  /** Element type; undefined if it is none that can be read. */
  readonly dtype: StoredDType | undefined;
  /** Element type as the file names it, for error messages. */
  readonly dtypeName: string;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Offset of its first byte in the file. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
}

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  /** The arrays, in the order of the header. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** Free text by key. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Key of the free text. */
const METADATA = "__metadata__";

/** Bytes before the header: its length, a little-endian 64-bit integer. */
export const PREFIX_BYTES = 8;

/** Most dimensions of an array, as in PyTorch. */
const MAX_DIMENSIONS = 64;

/** Arrays between two places where reading may be interrupted. */
const STEP = 1000;

/** Longest header that the format allows. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Length of the header from the first bytes of the file, checked against the size of the file.
 *
 * @throws {SyntaxError} If the file cannot be a safetensors file.
 */
export function headerLength(prefix: Uint8Array, fileSize: number, description: string): number {
  if (fileSize < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    throw damaged(description, `the file is ${fileSize} bytes long, too short for a header`);
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(fileSize - PREFIX_BYTES)) {
    throw damaged(description, `header is ${length} bytes long, the file is ${fileSize}`);
  }
  if (length > MAX_HEADER_BYTES) {
    throw damaged(
      description,
      `header is ${length} bytes long, at most ${MAX_HEADER_BYTES} may be`,
    );
  }
  return Number(length);
}

/**
 * Reads the JSON of a header and checks that the arrays fill the rest of the file exactly.
 *
 * @param bytes The header without the length in front of it.
 * @throws {SyntaxError} If anything in it is malformed or does not fit the file.
 */
export function* parseHeader(
  bytes: Uint8Array,
  fileSize: number,
  description: string,
): Steps<SafetensorsHeader> {
  const json = yield* parseObject(bytes, description);
  const start = PREFIX_BYTES + bytes.length;
  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of json) {
    if (entries.size % STEP === 0) yield;
    if (name === METADATA) metadata = yield* checkedMetadata(value, description);
    else entries.set(name, checkedEntry(name, value, start, fileSize, description));
  }
  yield* checkLayout(entries, start, fileSize, description);
  return { entries, metadata };
}

function* parseObject(bytes: Uint8Array, description: string): Steps<Map<string, unknown>> {
  let json: unknown;
  let text: string;
  try {
    text = yield* decodeUtf8(bytes);
    json = yield* parseJson(text, [{ path: [] }, { path: [METADATA] }]);
  } catch (cause) {
    throw damaged(description, "header is not valid JSON", cause);
  }
  if (!(json instanceof Map)) throw damaged(description, "header is not a JSON object");
  yield;
  const repeated = yield* repeatedKey(text);
  if (repeated !== undefined) {
    throw damaged(description, `${describeValue(repeated)} occurs twice in the header`);
  }
  return json;
}

function* checkedMetadata(value: unknown, description: string): Steps<Record<string, string>> {
  const wrong = () => damaged(description, `${METADATA} is not an object of strings`);
  if (!(value instanceof Map)) throw wrong();
  const metadata: Record<string, string> = Object.create(null);
  let count = 0;
  for (const [key, text] of value) {
    if (typeof text !== "string") throw wrong();
    metadata[key] = text;
    if (++count % STEP === 0) yield;
  }
  return metadata;
}

function checkedEntry(
  name: string,
  value: unknown,
  start: number,
  fileSize: number,
  description: string,
): SafetensorsEntry {
  const where = describeValue(name);
  if (!isObject(value)) throw damaged(description, `${where} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw damaged(description, `${where} has no dtype`);
  if (!isNaturals(shape)) {
    throw damaged(description, `${where} has a shape that is not a list of natural numbers`);
  }
  if (shape.length > MAX_DIMENSIONS) {
    throw damaged(
      description,
      `${where} has ${shape.length} dimensions, at most ${MAX_DIMENSIONS} may be`,
    );
  }
  if (!isNaturals(offsets) || offsets.length !== 2) {
    throw damaged(description, `${where} has offsets that are not two natural numbers`);
  }
  const [begin = 0, end = 0] = offsets;
  if (begin > end || end > fileSize - start) {
    throw damaged(
      description,
      `${where} lies at ${begin} to ${end} of ${fileSize - start} bytes of data`,
    );
  }
  const offset = start + begin;
  const length = end - begin;
  // Nobody has to read it, and how many bytes an element takes is not known.
  if (!isStoredDType(dtype)) return { dtype: undefined, dtypeName: dtype, shape, offset, length };
  if (elementCount(shape) * STORED_DTYPES[dtype] !== length) {
    throw damaged(
      description,
      `${where} of shape (${shape.slice(0, 16)}) and dtype ${dtype} has ${length} bytes`,
    );
  }
  return { dtype, dtypeName: dtype, shape, offset, length };
}

/** Arrays neither overlap nor leave holes: the format demands it, so nothing can hide in between. */
function* checkLayout(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  start: number,
  fileSize: number,
  description: string,
): Steps<void> {
  const inFile = yield* sorted(
    [...entries],
    ([, a], [, b]) => a.offset - b.offset || a.length - b.length,
  );
  let position = start;
  for (const [name, { offset, length }] of inFile) {
    if (offset !== position) {
      const what = offset < position ? "overlaps the array before it" : "follows a hole";
      throw damaged(description, `${describeValue(name)} ${what}`);
    }
    position += length;
  }
  if (position !== fileSize) {
    throw damaged(description, `the arrays end at byte ${position}, the file is ${fileSize}`);
  }
}

/**
 * First key of the outermost object that occurs twice; `JSON.parse` would silently keep the last.
 *
 * @param text Valid JSON.
 */
function* repeatedKey(text: string): Steps<string | undefined> {
  const keys = new Set<string>();
  let depth = 0;
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) { // quotation mark
      const begin = i++;
      while (text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
      if (depth === 1) start = begin;
    } else if (c === 0x3a && depth === 1) { // colon
      const key: string = JSON.parse(text.slice(start, text.lastIndexOf('"', i) + 1));
      if (keys.has(key)) return key;
      keys.add(key);
      if (keys.size % STEP === 0) yield;
    } else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function damaged(description: string, what: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${description}: ${what}`, { cause });
}
