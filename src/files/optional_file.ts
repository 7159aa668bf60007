/**
 * Files that a model may be without.
 *
 * @module
 */

import { MissingFileError } from "./paths.ts";
import type { ModelFolder } from "./source.ts";

/**
 * Reads a small file if it is there. Servers say in many ways that they have no such file: besides 404,
 * they refuse to answer (403, as stores do that list nothing) or send a page, which begins with `<`.
 *
 * @returns The text, or undefined if there is none.
 * @throws {HttpError} If a server fails to answer, so that nobody knows whether there is one.
 */
export async function readOptionalText(
  folder: ModelFolder,
  path: string,
): Promise<string | undefined> {
  try {
    if (!await folder.has(path)) return undefined;
    const text = await folder.readText(path);
    return text.trimStart().startsWith("<") ? undefined : text;
  } catch (error) {
    if (error instanceof MissingFileError || await isRefusal(error)) return undefined;
    throw error;
  }
}

async function isRefusal(error: unknown): Promise<boolean> {
  if (!(error instanceof Error) || error.name !== "HttpError") return false;
  const { HttpError } = await import("./http.ts");
  return error instanceof HttpError && error.status >= 400 && error.status < 500 &&
    error.status !== 429;
}
