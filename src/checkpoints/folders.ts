/**
 * Opening the folder of a model, wherever it lies. What one kind of folder needs is loaded when one of
 * that kind is opened.
 *
 * @module
 */

import { refuseType, type Subject } from "../base/check.ts";
import type { HubCache } from "../hub/cache.ts";
import type { HubOptions } from "../hub/hub.ts";
import { isHubId } from "../hub/hub_id.ts";
import { hasCode } from "../files/file_system.ts";
import { findFileSystem, hasFileSystem } from "../files/find_file_system.ts";
import { pathOfUrl } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import type { OriginalOptions } from "./original/open_original.ts";

export type { OriginalOptions };

const OPEN_FOLDER: Subject = { task: "open a folder", name: "source" };
const OPEN_FILE: Subject = { task: "open a file", name: "source" };

/** How to open the folder of a model: most of it concerns the hub, and the first part any server. */
export interface OpenFolderOptions extends HubOptions {
  /** The other parts of an original checkpoint, if `source` is one. */
  readonly original?: OriginalOptions | undefined;
}

/**
 * Opens the folder of a model: a path, a `file:` or `http(s):` URL, or a folder that is open already. A
 * string `owner/name` that is no folder on disk, or none that may be read, is a model on the hub;
 * `./owner/name` never is. An original checkpoint, a file that ends in `.pth`, `.pt` or `.ckpt`, is given
 * as a folder in the layout of diffusers too; see {@linkcode OriginalOptions}.
 *
 * @throws {MissingFileError} If there is no such folder on disk.
 * @throws {TypeError} If `source` is of another kind, or a path is given where there is no file system.
 */
export async function openFolder(
  source: string | URL | ModelFolder,
  options: OpenFolderOptions = {},
): Promise<ModelFolder> {
  if (typeof source !== "string" && !(source instanceof URL)) return checkedFolder(source);
  options.signal?.throwIfAborted();
  const url = source instanceof URL ? source : urlOf(source, OPEN_FOLDER);
  if (isOriginal(source)) {
    const { openOriginal } = await import("./original/open_original.ts");
    const servers = new Map<string, Promise<ModelFolder>>();
    return openOriginal(url ?? String(source), options.original, {
      file: (source, maxBytes) => openWhole(source, options, servers, maxBytes),
      folder: (source) => openFolder(source, options),
    });
  }
  if (url === undefined) {
    const path = String(source);
    if (isHubId(path) && !await isFolder(path)) {
      const { openHubFolder } = await import("../hub/hub.ts");
      return openHubFolder(path, options);
    }
    return await openOnDisk(path, options);
  }
  switch (url.protocol) {
    case "http:":
    case "https:":
      return await openOnServer(url, options);
    case "file:":
      return await openOnDisk(pathOfUrl(url), options);
    default:
      refuseType(
        OPEN_FOLDER,
        String(source),
        "a folder, or a URL that begins with https:, http: or file:",
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
  const url = source instanceof URL ? source : urlOf(source, OPEN_FILE);
  options.signal?.throwIfAborted();
  const path = url === undefined ? String(source) : pathOfUrl(url);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const watched = await withTotal(options);
  const progress = new FileProgress(name, watched.onProgress);
  switch (url?.protocol) {
    case "http:":
    case "https:": {
      const { openHttpFile } = await import("../files/http_file.ts");
      const { followingRedirects } = await import("../files/redirects.ts");
      const fetch = followingRedirects(watched.fetch ?? globalThis.fetch);
      return await openHttpFile(url, progress, { ...watched, fetch });
    }
    case "file:":
    case undefined: {
      const { openDiskFile } = await import("../files/disk_folder.ts");
      return await openDiskFile(path, progress, options.signal);
    }
    default:
      refuseType(
        OPEN_FILE,
        String(source),
        "a file, or a URL that begins with https:, http: or file:",
      );
  }
}

/** @throws {TypeError} If it is no folder. */
function checkedFolder(source: ModelFolder): ModelFolder {
  if (typeof source === "object" && typeof source?.readText === "function") return source;
  refuseType(OPEN_FOLDER, source, "a path, a URL or a folder");
}

/** Whether a path or URL is that of an original checkpoint, by its ending. */
export function isOriginal(source: string | URL): boolean {
  const path = source instanceof URL
    ? source.pathname
    : source.replace(/^([a-z]+:.*?)[?#].*$/i, "$1");
  return /\.(pth|pt|ckpt)$/i.test(path);
}

/**
 * The URL that a string is, if it is one and not a path such as `C:/models`. On a page, which has no files,
 * `/models`, `./models` and `../models` are URLs beside the page's own.
 */
function urlOf(source: string, subject: Subject): URL | undefined {
  const page = (globalThis.location as Location | undefined)?.href;
  if (/^\.{0,2}\//.test(source) && page !== undefined && !hasFileSystem()) {
    return new URL(source, page);
  }
  if (!/^[A-Za-z][A-Za-z0-9+.-]+:/.test(source)) return undefined;
  if (!URL.canParse(source)) refuseType(subject, source, "a valid URL");
  return new URL(source);
}

/** Whether there is such a folder, without asking for a permission: it may well be meant for the hub. */
async function isFolder(path: string): Promise<boolean> {
  const files = await findFileSystem();
  if (files === undefined) return false;
  if (typeof Deno !== "undefined") {
    const { state } = await Deno.permissions.query({ name: "read", path });
    if (state !== "granted") return false;
  }
  try {
    return (await files.stat(path)).isDirectory;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/**
 * A file of which all is going to be read: if it is on a server it is kept, like those of a folder.
 *
 * @param servers Folders that have been opened: what one file is found to lack is remembered with another.
 * @param maxBytes Most bytes that are fetched at once where it cannot be read in parts.
 */
async function openWhole(
  source: string | URL,
  options: OpenFolderOptions,
  servers: Map<string, Promise<ModelFolder>>,
  maxBytes: number | undefined,
): Promise<FileSource> {
  const url = source instanceof URL ? source : urlOf(source, OPEN_FILE);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return openFile(source, options);
  const path = pathOfUrl(url);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const folder = new URL(url);
  folder.pathname = url.pathname.slice(0, url.pathname.lastIndexOf("/"));
  const opened = servers.get(folder.href) ?? openOnServer(folder, options);
  servers.set(folder.href, opened);
  return await (await opened).open(name, maxBytes);
}

/** A folder behind a URL, through a cache if there is one; who replaces `fetch` has to ask for one. */
async function openOnServer(url: URL, options: OpenFolderOptions): Promise<ModelFolder> {
  const watched = await withTotal(options);
  const cache = await cacheOfServers(options);
  if (cache === undefined) {
    return (await import("../files/http_folder.ts")).httpFolder(url, watched);
  }
  const { cachedHttpFolder } = await import("../hub/cached_http_folder.ts");
  return cachedHttpFolder(url, cache, watched, options.cache !== undefined);
}

/** The cache for files of http servers, if there is one. */
export async function cacheOfServers(
  { cache, verify, fetch }: OpenFolderOptions,
): Promise<HubCache | undefined> {
  if (cache === false || cache === undefined && fetch !== undefined) return undefined;
  const { openCache } = await import("../hub/open_cache.ts");
  return await openCache(cache, verify);
}

async function openOnDisk(path: string, options: OpenFolderOptions): Promise<ModelFolder> {
  const { openDiskFolder } = await import("../files/disk_folder.ts");
  return await openDiskFolder(path, await withTotal(options));
}

/** Options that also report the sum of all files. */
export async function withTotal(options: OpenFolderOptions): Promise<OpenFolderOptions> {
  if (!options.onProgress) return options;
  const { TotalProgress } = await import("../files/total_progress.ts");
  return { ...options, onProgress: new TotalProgress(options.onProgress).onProgress };
}
