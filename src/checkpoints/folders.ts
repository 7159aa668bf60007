/**
 * Opening the folder of a model, wherever it lies.
 *
 * @module
 */

import { diskFolder, openDiskFile, pathOfUrl, requireDeno } from "./disk_folder.ts";
import { openHttpFile } from "./http_file.ts";
import { httpFolder } from "./http_folder.ts";
import { type HubOptions, isHubId, openHubFolder } from "./hub.ts";
import { missingFile } from "./paths.ts";
import { FileProgress, TotalProgress } from "./progress.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/** How to open the folder of a model: all of it concerns the hub, and the first part any server. */
export type OpenFolderOptions = HubOptions;

/**
 * Opens the folder of a model: a path, a `file:` or `http(s):` URL, or a folder that is open already. A
 * string `owner/name` that is no folder on disk, or none that may be read, is a model on the hub;
 * `./owner/name` never is.
 *
 * @throws {MissingFileError} If there is no such folder on disk.
 * @throws {TypeError} If `source` is of another kind, or a path is given where there is no file system.
 */
export async function openFolder(
  source: string | URL | ModelFolder,
  options: OpenFolderOptions = {},
): Promise<ModelFolder> {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  options.signal?.throwIfAborted();
  const url = source instanceof URL ? source : urlOf(source);
  if (url === undefined) {
    const path = String(source);
    if (isHubId(path) && !await isFolder(path)) return openHubFolder(path, options);
    return await openDiskFolder(path, options);
  }
  switch (url.protocol) {
    case "http:":
    case "https:":
      return httpFolder(url, withTotal(options));
    case "file:":
      return await openDiskFolder(pathOfUrl(url), options);
    default:
      throw new TypeError(
        `Cannot open ${source}: expected a folder, or a URL that begins with https:, http: or file:`,
      );
  }
}

/**
 * Opens a single file, such as a checkpoint: a path, or a `file:` or `http(s):` URL.
 *
 * @throws {MissingFileError} If there is no such file.
 * @throws {TypeError} If `source` is of another kind, or a path is given where there is no file system.
 */
export async function openFile(
  source: string | URL,
  options: OpenFolderOptions = {},
): Promise<FileSource> {
  const url = source instanceof URL ? source : urlOf(source);
  options.signal?.throwIfAborted();
  const path = url === undefined ? String(source) : pathOfUrl(url);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const watched = withTotal(options);
  const progress = new FileProgress(name, watched.onProgress);
  switch (url?.protocol) {
    case "http:":
    case "https:":
      return await openHttpFile(url, progress, watched);
    case "file:":
    case undefined:
      return await openDiskFile(path, progress, options.signal);
    default:
      throw new TypeError(
        `Cannot open ${source}: expected a file, or a URL that begins with https:, http: or file:`,
      );
  }
}

/** The URL that a string is, if it is one and not a path such as `C:/models`. */
function urlOf(source: string): URL | undefined {
  if (!/^[A-Za-z][A-Za-z0-9+.-]+:/.test(source)) return undefined;
  if (!URL.canParse(source)) throw new TypeError(`Cannot open ${source}: it is not a valid URL`);
  return new URL(source);
}

/** Whether there is such a folder, without asking for a permission: it may well be meant for the hub. */
async function isFolder(path: string): Promise<boolean> {
  if (typeof Deno === "undefined") return false;
  if ((await Deno.permissions.query({ name: "read", path })).state !== "granted") return false;
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function openDiskFolder(path: string, options: OpenFolderOptions): Promise<ModelFolder> {
  if (path === "") throw new TypeError("Cannot open a folder: its path is empty");
  requireDeno(`open ${path}`);
  try {
    if ((await Deno.stat(path)).isDirectory) return diskFolder(path, withTotal(options));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missingFile(`the folder ${path}`, error);
    throw error;
  }
  throw new TypeError(`Cannot open ${path}: it is a file, expected a folder`);
}

function withTotal(options: OpenFolderOptions): OpenFolderOptions {
  if (!options.onProgress) return options;
  return { ...options, onProgress: new TotalProgress(options.onProgress).onProgress };
}
