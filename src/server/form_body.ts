/**
 * Bodies of forms, which can hold files: `multipart/form-data`.
 *
 * The runtimes' own `formData()` leaves out parts that broke off and takes as many as there are; here a
 * damaged body is refused as a whole.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import { type BodyLimits, readBody } from "./request_body.ts";
import { RequestError } from "./request_error.ts";

/** A file in a form. */
export interface FormFile {
  /** Its name where it comes from; empty if it is not told. */
  readonly fileName: string;
  /** Its bytes, of which nothing is known. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a form holds. */
export interface FormBody {
  /** Texts by the names of their fields. */
  readonly fields: Readonly<Record<string, string>>;
  /** Files by the names of their fields, of which one may have several. */
  readonly files: Readonly<Record<string, readonly FormFile[]>>;
}

/** The most fields and files of a form. */
const MAX_PARTS = 64;

/** The most bytes of the headers of a part. */
const MAX_HEADER_BYTES = 4096;

const FORM_TYPE = /^multipart\/form-data\s*(;|$)/i;
/** A boundary as RFC 2046 allows it. */
const BOUNDARY = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))/i;

/** Whether the body of a request is a form. */
export function hasFormBody(request: Request): boolean {
  return FORM_TYPE.test(request.headers.get("content-type") ?? "");
}

/**
 * Reads the body of a request as a form (RFC 7578).
 *
 * @throws {RequestError} If it is of another type, damaged, too long, does not come, or holds a field twice
 *   or too many.
 */
export async function readFormBody(request: Request, limits: BodyLimits): Promise<FormBody> {
  const type = request.headers.get("content-type") ?? "";
  if (!hasFormBody(request)) {
    throw new RequestError(
      415,
      `The content type is ${describeValue(type)}, expected multipart/form-data`,
    );
  }
  const [, quoted, plain] = BOUNDARY.exec(type) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw damaged("its type names no boundary");
  return parseForm(await readBody(request, limits), boundary);
}

/** Where a delimiter stands. */
interface Delimiter {
  /** Where the part before it ends. */
  readonly start: number;
  /** Where the part after it begins. */
  readonly end: number;
  /** Whether no part follows. */
  readonly isLast: boolean;
}

const [CR, LF, DASH] = [13, 10, 45];

function parseForm(bytes: Uint8Array<ArrayBuffer>, boundary: string): FormBody {
  const fields: Record<string, string> = Object.create(null);
  const files: Record<string, FormFile[]> = Object.create(null);
  const delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
  // Before the first delimiter there need not be a new line.
  let at = delimiterAt(bytes, 0, delimiter.subarray(2)) ?? nextDelimiter(bytes, 0, delimiter);
  for (let count = 0; !at.isLast; count++) {
    if (count === MAX_PARTS) {
      throw new RequestError(413, `The form has more than ${MAX_PARTS} fields`);
    }
    const next = nextDelimiter(bytes, at.end, delimiter);
    const { name, fileName, content } = parsePart(bytes.subarray(at.end, next.start));
    if (fileName === "" && content.length === 0) {
      // So browsers send a field for which no file was chosen.
    } else if (fileName !== undefined) (files[name] ??= []).push({ fileName, bytes: content });
    else if (name in fields) throw new RequestError(400, `The parameter ${name} is given twice`);
    else fields[name] = textOf(content);
    at = next;
  }
  return { fields, files };
}

function nextDelimiter(bytes: Uint8Array, from: number, delimiter: Uint8Array): Delimiter {
  for (let i = bytes.indexOf(CR, from); i >= 0; i = bytes.indexOf(CR, i + 1)) {
    const found = delimiterAt(bytes, i, delimiter);
    if (found !== undefined) return found;
  }
  throw damaged("it breaks off");
}

/** The delimiter at a place, if there is one: the boundary, `--` if it is the last, spaces, a new line. */
function delimiterAt(
  bytes: Uint8Array,
  start: number,
  delimiter: Uint8Array,
): Delimiter | undefined {
  if (!delimiter.every((byte, i) => bytes[start + i] === byte)) return undefined;
  let end = start + delimiter.length;
  if (bytes[end] === DASH && bytes[end + 1] === DASH) return { start, end, isLast: true };
  while (bytes[end] === 32 || bytes[end] === 9) end++;
  // Else the boundary is only the beginning of a longer text.
  if (bytes[end] !== CR || bytes[end + 1] !== LF) return undefined;
  return { start, end: end + 2, isLast: false };
}

interface Part {
  readonly name: string;
  /** Undefined if it is no file. */
  readonly fileName: string | undefined;
  readonly content: Uint8Array<ArrayBuffer>;
}

/** Reads headers, a blank line and the content. */
function parsePart(part: Uint8Array<ArrayBuffer>): Part {
  const length = part.subarray(0, MAX_HEADER_BYTES).findIndex((_, i) => {
    return part[i] === CR && part[i + 1] === LF && part[i + 2] === CR && part[i + 3] === LF;
  });
  if (length < 0) throw damaged("a part of it has no end of its headers");
  const headers = textOf(part.subarray(0, length)).split("\r\n");
  const disposition = headers.find((line) =>
    /^content-disposition\s*:\s*form-data\s*;/i.test(line)
  );
  const name = disposition && parameterOf(disposition, "name");
  if (disposition === undefined || name === undefined) throw damaged("a part of it has no name");
  const encoded = headers.some((line) =>
    /^content-transfer-encoding\s*:\s*(?!binary|[78]bit)/i.test(line)
  );
  if (encoded) throw damaged("a part of it has a transfer encoding, expected none");
  const fileName = parameterOf(disposition, "filename");
  return { name, fileName, content: part.subarray(length + 4) };
}

/** The value of `name="value"`, in which browsers write `"` as `%22` and curl as `\"`. */
function parameterOf(header: string, name: string): string | undefined {
  const pattern = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s";]+))`, "i");
  const [, quoted, plain] = pattern.exec(header) ?? [];
  return quoted?.replace(/\\(["\\])/g, "$1").replaceAll("%22", '"') ?? plain;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw damaged("a text in it is not UTF-8");
  }
}

function damaged(why: string): RequestError {
  return new RequestError(400, `The body is no valid form: ${why}`);
}
