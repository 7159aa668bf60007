/**
 * Texts in PNG files: the chunks `tEXt`, `zTXt` and `iTXt` (PNG specification, third edition, 11.3.3).
 *
 * @module
 */

/** Bytes of the signature that a file begins with. */
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** What is read, in error messages. */
const TEXTS = "the texts of the PNG file";

/** The most bytes that the compressed texts of a file may have together when they are read. */
const MAX_TEXT_BYTES = 2 ** 20;

/** As many of them a text counts for at least: there may be many empty ones. */
const LEAST_TEXT_BYTES = 2 ** 10;

/** What is left of the bytes for the compressed texts of a file. */
interface Budget {
  left: number;
}

/** A chunk: its type, its data, and where it ends in the file. */
interface Chunk {
  readonly type: string;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly end: number;
}

/**
 * Puts texts into a PNG file, right after its header, by their keywords (1 to 79 characters of Latin 1).
 * A text of Latin 1 becomes a `tEXt` chunk, which every program reads, another an `iTXt` chunk in UTF-8.
 *
 * @throws {SyntaxError} If the file is no PNG file.
 */
export async function withPngTexts(
  file: Uint8Array,
  texts: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { crc32 } = await import("./imagescript.ts");
  const [header] = chunksOf(file);
  if (header?.type !== "IHDR") throw damaged("its first chunk is no header");
  const chunks = Object.entries(texts).map(([keyword, text]) => {
    const [type, data] = encodeText(keyword, text);
    return encodeChunk(type, data, crc32);
  });
  return joined([file.subarray(0, header.end), ...chunks, file.subarray(header.end)]);
}

/**
 * Reads the texts of a PNG file by their keywords. Of several with one keyword the first counts; one that
 * is damaged is left out, and so are compressed ones beyond a mebibyte in all.
 *
 * @param description What is read, for error messages.
 * @throws {SyntaxError} If the file is no PNG file.
 */
export async function readPngTexts(
  file: Uint8Array,
  description = TEXTS,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const budget = { left: MAX_TEXT_BYTES };
  for (const { type, data } of chunksOf(file, description)) {
    if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") continue;
    const end = data.indexOf(0);
    const keyword = latin1(data.subarray(0, Math.max(0, end)));
    const text = end < 1 || texts.has(keyword)
      ? undefined
      : await decodeText(type, data.subarray(end + 1), budget);
    if (text !== undefined) texts.set(keyword, text);
  }
  return texts;
}

/** The chunks up to where the file ends or is damaged. */
function* chunksOf(file: Uint8Array, description = TEXTS): Generator<Chunk, void, void> {
  if (!SIGNATURE.every((byte, i) => file[i] === byte)) {
    throw damaged("it is no PNG file", description);
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let offset = SIGNATURE.length;
  while (offset + 12 <= file.length) {
    const end = offset + 12 + view.getUint32(offset);
    if (end > file.length) return;
    const type = latin1(file.subarray(offset + 4, offset + 8));
    yield { type, data: file.slice(offset + 8, end - 4), end };
    offset = end;
  }
}

/** Type and data of the chunk of a text. */
function encodeText(keyword: string, text: string): [type: string, data: Uint8Array] {
  // No text of a chunk may have the character that ends its keyword.
  const clean = text.replaceAll("\0", " ");
  const name = Uint8Array.from(keyword, (character) => character.charCodeAt(0));
  if (/^[\n\x20-\x7e\xa0-\xff]*$/.test(clean)) {
    const characters = Uint8Array.from(clean, (character) => character.charCodeAt(0));
    return ["tEXt", joined([name, Uint8Array.of(0), characters])];
  }
  // Not compressed; no language, no translation of the keyword.
  const head = Uint8Array.of(0, 0, 0, 0, 0);
  return ["iTXt", joined([name, head, new TextEncoder().encode(clean)])];
}

function encodeChunk(
  type: string,
  data: Uint8Array,
  crc32: (bytes: Uint8Array) => number,
): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(Uint8Array.from(type, (character) => character.charCodeAt(0)), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

/** @param data What follows the keyword and its end. */
async function decodeText(
  type: "tEXt" | "zTXt" | "iTXt",
  data: Uint8Array<ArrayBuffer>,
  budget: Budget,
): Promise<string | undefined> {
  if (type === "tEXt") return latin1(data);
  if (type === "zTXt") {
    const bytes = await inflate(data.subarray(1), budget);
    return bytes && latin1(bytes);
  }
  const language = data.indexOf(0, 2);
  const translation = language < 0 ? -1 : data.indexOf(0, language + 1);
  if (translation < 0) return undefined;
  const content = data.subarray(translation + 1);
  const bytes = data[0] === 0 ? content : await inflate(content, budget);
  return bytes && new TextDecoder().decode(bytes);
}

/** Takes from the budget what was read, whatever comes of it. */
async function inflate(
  data: Uint8Array<ArrayBuffer>,
  budget: Budget,
): Promise<Uint8Array | undefined> {
  if (budget.left <= 0) return undefined;
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
    for await (const part of stream) {
      length += part.length;
      if (length > budget.left) return undefined;
      parts.push(part);
    }
  } catch {
    return undefined; // damaged
  } finally {
    budget.left -= Math.max(length, LEAST_TEXT_BYTES);
  }
  return joined(parts);
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function damaged(reason: string, description = TEXTS): SyntaxError {
  return new SyntaxError(`Cannot read ${description}: ${reason}`);
}
