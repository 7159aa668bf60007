/**
 * Opening the folder of a model, wherever it lies.
 *
 * @module
 */

import { diskFolder, pathOfUrl, requireDeno } from "./disk_folder.ts";
import type { HttpOptions } from "./http.ts";
import { httpFolder } from "./http_folder.ts";
import { missingFile } from "./paths.ts";
import type { ModelFolder } from "./source.ts";

/** Options of {@linkcode openFolder}. */
export type OpenFolderOptions = HttpOptions;

/**
 * Opens the folder of a model: a path, a `file:` or `http(s):` URL, or a folder that is open already.
 *
 * @throws {MissingFileError} If there is no such folder on disk.
 * @throws {TypeError} If `source` is of another kind, or a path is given where there is no file system.
 */
export async function openFolder(
  source: string | URL | ModelFolder,
  options: OpenFolderOptions = {},
): Promise<ModelFolder> {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  const url = source instanceof URL ? source : urlOf(source);
  options.signal?.throwIfAborted();
  if (url === undefined) return await openDiskFolder(String(source), options);
  switch (url.protocol) {
    case "http:":
    case "https:":
      return httpFolder(url, options);
    case "file:":
      return await openDiskFolder(pathOfUrl(url), options);
    default:
      throw new TypeError(
        `Cannot open ${source}: expected a folder, or a URL that begins with https:, http: or file:`,
      );
  }
}

/** The URL that a string is, if it is one and not a path such as `C:/models`. */
function urlOf(source: string): URL | undefined {
  if (!/^[A-Za-z][A-Za-z0-9+.-]+:/.test(source)) return undefined;
  if (!URL.canParse(source)) throw new TypeError(`Cannot open ${source}: it is not a valid URL`);
  return new URL(source);
}

async function openDiskFolder(path: string, options: OpenFolderOptions): Promise<ModelFolder> {
  if (path === "") throw new TypeError("Cannot open a folder: its path is empty");
  requireDeno(`open ${path}`);
  try {
    if ((await Deno.stat(path)).isDirectory) return diskFolder(path, options);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missingFile(`the folder ${path}`, error);
    throw error;
  }
  throw new TypeError(`Cannot open ${path}: it is a file, expected a folder`);
}
