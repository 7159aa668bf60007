/**
 * Paths of model folders and inside them, and the errors of all kinds of folders.
 *
 * @module
 */

import { escapeControls, refuseRange } from "../base/check.ts";
import { formatBytes } from "../base/format.ts";
import { inTurns } from "../base/pauses.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { checkContent } from "./content.ts";
import type { FileSource } from "./source.ts";

/** A file of a model is not there. */
export class MissingFileError extends Error {
  /** Always `"MissingFileError"`. */
  override readonly name = "MissingFileError";
}

/**
 * Whether an error may mean that a file is not there: stores that may not list their files answer 403 for
 * those that they do not have.
 */
export function meansAbsence(error: unknown): boolean {
  return error instanceof MissingFileError ||
    error instanceof Error && error.name === "HttpError" && "status" in error &&
      error.status === 403;
}

/** The error for a file that is not there. */
export function missingFile(description: string, cause?: unknown): MissingFileError {
  return new MissingFileError(`Cannot find ${description}`, { cause });
}

/**
 * Whether a path is inside a folder: names parted by `/`, none of which leads out of it. Paths may come
 * from files that are not trusted.
 */
export function isInnerPath(path: string): boolean {
  return path.split("/").every((name) =>
    // deno-lint-ignore no-control-regex -- that is what is refused
    name !== "" && name !== "." && name !== ".." && !/[\\:\x00-\x1f\x7f]/.test(name) &&
    name.isWellFormed() && name.length <= LONGEST_NAME
  );
}

/**
 * Checks a path inside a folder.
 *
 * @throws {RangeError} If it is absolute, empty or leads out of the folder.
 */
export function checkPath(path: string): string {
  if (isInnerPath(path)) return path;
  refuseRange({ task: "open a file", name: "path" }, path, "a path inside the folder");
}

/** Longest name of a file, which is that of all common file systems. */
const LONGEST_NAME = 255;

/** Path of a `file:` URL. */
export function pathOfUrl(url: URL): string {
  const path = decoded(url.pathname, decodeURIComponent);
  return /^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path;
}

/** The beginning of a path that leads to the folder of a file, with the separator; empty for a name alone. */
export function folderOfPath(path: string): string {
  const { process } = globalThis as { process?: { readonly platform?: string } };
  // Elsewhere a backslash may be part of a name.
  const isOfWindows = process?.platform === "win32" || /^([A-Za-z]:|\\\\)/.test(path);
  const end = isOfWindows ? path.lastIndexOf("\\") : -1;
  return path.slice(0, Math.max(path.lastIndexOf("/"), end) + 1);
}

/** URL without its query, which may hold a signature, for error messages. */
export function describeUrl(url: URL): string {
  return escapeControls(decoded(`${url.origin}${url.pathname}`, decodeURI));
}

/** A text without escapes; as it is if a percent sign in it begins none, which is allowed in a URL. */
function decoded(text: string, decode: (text: string) => string): string {
  try {
    return decode(text);
  } catch {
    return text;
  }
}

/** One path below another; an empty one is left out. */
export function joinPath(folder: string, path: string): string {
  if (folder === "" || path === "") return folder + path;
  return folder.endsWith("/") ? folder + path : `${folder}/${path}`;
}

/**
 * Checks that a range lies inside a file.
 *
 * @throws {RangeError} If it does not.
 */
export function checkRange(
  description: string,
  size: number,
  offset: number,
  length: number,
): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
    offset >= 0 && length >= 0 && offset + length <= size;
  if (!sound) {
    throw new RangeError(
      `Cannot read ${length} bytes at ${offset} of ${description}: it is ${size} bytes long`,
    );
  }
}

/** Longest text file that is read: no config or vocabulary comes near it. */
export const MAX_TEXT_BYTES = 64 * 2 ** 20;

/**
 * Reads a whole file as text and closes it.
 *
 * @throws {RangeError} If it is longer than any config or vocabulary.
 * @throws {SyntaxError} If it is not UTF-8, or a web page or a pointer of Git LFS.
 */
export async function readTextOf(file: FileSource): Promise<string> {
  await using source = file;
  const { description, size } = source;
  if (size > MAX_TEXT_BYTES) {
    throw new RangeError(
      `Cannot read ${description}: it is ${formatBytes(size)} long, a text may be ` +
        formatBytes(MAX_TEXT_BYTES),
    );
  }
  const bytes = await source.read(0, size);
  checkContent(bytes, description);
  try {
    return await inTurns(decodeUtf8(bytes));
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${description}: it is not UTF-8`, { cause });
  }
}
