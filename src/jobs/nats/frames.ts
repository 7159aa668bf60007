/**
 * Messages of JSON and files: a header, and what it says something about.
 *
 * @module
 */

/** Bytes of the number before the header. */
const PREFIX = 4;

/** The longest header, in bytes. */
const LONGEST_HEADER = 65536;

/** What a message consists of. */
export interface Frames {
  /** What it says. */
  readonly header: Readonly<Record<string, unknown>>;
  /** Files, such as pictures. */
  readonly files: readonly Uint8Array<ArrayBuffer>[];
}

/**
 * Makes a message: the header's length (uint32, little endian), the header as JSON, and the files one
 * after the other.
 *
 * @throws {RangeError} If the header is too long.
 */
export function encodeFrames({ header, files }: Frames): Uint8Array<ArrayBuffer> {
  const lengths = files.map(({ length }) => length);
  const text = new TextEncoder().encode(JSON.stringify({ ...header, lengths }));
  if (text.length > LONGEST_HEADER) {
    throw new RangeError(
      `Cannot make a message: header is ${text.length} bytes long, expected at most ${LONGEST_HEADER}`,
    );
  }
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, PREFIX + text.length));
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, PREFIX);
  let at = PREFIX + text.length;
  for (const file of files) {
    bytes.set(file, at);
    at += file.length;
  }
  return bytes;
}

/**
 * Reads a message, of which nothing is known.
 *
 * @throws {SyntaxError} If it is damaged.
 */
export function decodeFrames(bytes: Uint8Array): Frames {
  if (bytes.length < PREFIX) throw damaged("it is too short");
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (length > Math.min(LONGEST_HEADER, bytes.length - PREFIX)) {
    throw damaged(`its header is ${length} bytes long`);
  }
  const { lengths, ...header } = parse(bytes.subarray(PREFIX, PREFIX + length));
  if (!Array.isArray(lengths) || !lengths.every((one) => Number.isInteger(one) && one >= 0)) {
    throw damaged("it has no lengths of files");
  }
  let at = PREFIX + length;
  const files = lengths.map((one: number) => {
    // A copy: a view would keep the whole message in memory.
    const file = bytes.slice(at, at + one) as Uint8Array<ArrayBuffer>;
    at += one;
    return file;
  });
  if (at !== bytes.length) throw damaged(`it is ${bytes.length} bytes long, expected ${at}`);
  return { header, files };
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw damaged("its header is no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw damaged("its header is no object");
  }
  return value as Record<string, unknown>;
}

function damaged(reason: string): SyntaxError {
  return new SyntaxError(`Cannot read a message of the queue: ${reason}`);
}
