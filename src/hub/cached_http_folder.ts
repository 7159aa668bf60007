/**
 * Folders behind a URL whose files are kept in a cache. The server is asked each time whether a file has changed; if
 * it cannot be reached, what is in the cache is used.
 *
 * @module
 */

import { type FileTree, treeFolder } from "../files/file_tree.ts";
import {
  contentLength,
  HttpError,
  type HttpFileOptions,
  type HttpOptions,
  messageOf,
  request,
} from "../files/http.ts";
import { isThere, openHttpFile } from "../files/http_file.ts";
import { describeUrl, joinPath, missingFile, MissingFileError } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import { followingRedirects, RedirectError } from "../files/redirects.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import {
  type CachedFile,
  DamagedFileError,
  type Download,
  type HubCache,
  TakenOverError,
} from "./cache.ts";
import { createSha256 } from "./hashes.ts";
import { healingFile } from "./healing_file.ts";
import { impatient } from "./impatience.ts";
import { versionName } from "./repository.ts";

/** Bytes that are copied into the cache at a time, as many as are asked for. */
const BLOCK_BYTES = 8 * 2 ** 20;

/**
 * A folder behind an http(s) URL. Files whose server tells an ETag or the time of their last change are kept.
 *
 * @param telling Whether there is a notice when the cache cannot be written.
 */
export function cachedHttpFolder(
  root: URL,
  cache: HubCache,
  options: HttpOptions,
  telling: boolean,
): ModelFolder {
  return treeFolder(new CachedHttpTree(root, cache, options, telling));
}

class CachedHttpTree implements FileTree {
  readonly description: string;
  readonly #root: URL;
  readonly #cache: HubCache;
  readonly #options: HttpOptions;
  readonly #telling: boolean;
  /** What stands for the folder in the cache. */
  readonly #folder: Pick<CachedFile, "repository" | "commit">;
  /** Files that are not there, to be remembered when something is kept. */
  readonly #absent = new Set<string>();
  /** What has been told of damaged files. */
  readonly #damages = new Set<string>();
  #keeps = false;
  /** Whether the server could not be reached, and something that was kept took its place. */
  #offline = false;

  constructor(root: URL, cache: HubCache, options: HttpOptions, telling: boolean) {
    this.description = describeUrl(root);
    this.#root = root;
    this.#cache = cache;
    this.#options = { ...options, fetch: followingRedirects(options.fetch ?? globalThis.fetch) };
    this.#telling = telling;
    const hasher = createSha256();
    hasher.update(new TextEncoder().encode(root.origin + root.pathname));
    this.#folder = {
      repository: `http/${root.host.replace(/[^\w.-]/g, "-")}`,
      commit: hasher.digest().slice(0, 40),
    };
  }

  async has(path: string): Promise<boolean> {
    const known = await this.#isKnown(path);
    if (known !== undefined && this.#offline) return known;
    try {
      const options = known === undefined ? this.#options : impatient(this.#options);
      const found = await isThere(this.#url(path), options);
      if (!found) await this.#noteAbsent(path);
      return found;
    } catch (error) {
      if (known === undefined || !isUnreachable(error)) throw error;
      this.#goOffline(error);
      return known;
    }
  }

  async open(path: string, maxBytes?: number): Promise<FileSource> {
    const known = await this.#isKnown(path);
    const current = known ? await this.#openCurrent(path) : undefined;
    if (current) return current;
    const url = this.#url(path);
    if (known === false && !await this.has(path)) throw missingFile(describeUrl(url));
    let version: string | undefined;
    const { fetch = globalThis.fetch } = this.#options;
    const options: HttpFileOptions = {
      ...this.#options,
      maxBytes,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (response.ok) version ??= versionOf(response);
        return response;
      },
    };
    let remote: FileSource;
    try {
      remote = await openHttpFile(url, new FileProgress(path, options.onProgress), options);
    } catch (error) {
      if (error instanceof MissingFileError) await this.#noteAbsent(path);
      throw error;
    }
    const isTooBig = remote.size > (maxBytes ?? Infinity);
    if (version === undefined || isTooBig) return remote;
    return await this.#keep(path, remote, versionName(url, version, remote.size));
  }

  /** Whether a file is there as far as the cache knows: undefined if it knows nothing. */
  async #isKnown(path: string): Promise<boolean | undefined> {
    const kept = await this.#find(path, undefined);
    await kept?.[Symbol.asyncDispose]();
    if (kept) return true;
    return await this.#cache.isAbsent(this.#file(path)) ? false : undefined;
  }

  /** Opens what is kept of a file, if it has not changed, or the server cannot be reached. */
  async #openCurrent(path: string): Promise<FileSource | undefined> {
    const url = this.#url(path);
    let etag: string | undefined;
    if (!this.#offline) {
      try {
        const init = { method: "HEAD", headers: { "accept-encoding": "identity" } };
        const response = await request(url, init, impatient(this.#options));
        await response.body?.cancel();
        if (response.status >= 500) {
          throw new HttpError(`Cannot read ${describeUrl(url)}`, response);
        }
        const version = versionOf(response);
        const size = contentLength(response);
        if (!response.ok || version === undefined || size === undefined) return undefined;
        etag = versionName(url, version, size);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        this.#goOffline(error);
      }
    }
    const kept = await this.#find(path, etag);
    return kept && this.#tellKept(path, kept);
  }

  /** From here on what is kept is used without asking. */
  #goOffline(error: unknown): void {
    this.#options.signal?.throwIfAborted();
    if (!this.#offline) this.#notice(`${messageOf(error)}; using what is in the cache`);
    this.#offline = true;
  }

  async #find(path: string, etag: string | undefined): Promise<FileSource | undefined> {
    try {
      return await this.#cache.find({ ...this.#file(path), etag }, this.#options.signal);
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      this.#tellDamaged(error);
      return undefined;
    }
  }

  #tellDamaged(error: DamagedFileError): void {
    if (this.#damages.has(error.message)) return;
    this.#damages.add(error.message);
    this.#notice(`${error.message}; it has to be downloaded again`);
  }

  #tellKept(path: string, file: FileSource): FileSource {
    new FileProgress(path, this.#options.onProgress).whole(file.size);
    return this.#healing(path, file);
  }

  /** A file of the cache that is downloaded again if reading finds it damaged. */
  #healing(path: string, file: FileSource): FileSource {
    return healingFile(file, (error) => {
      this.#tellDamaged(error);
      return this.open(path, file.size);
    });
  }

  /** Copies a file into the cache and opens it there; gives the file itself if that cannot be. */
  async #keep(path: string, remote: FileSource, etag: string): Promise<FileSource> {
    const file = { ...this.#file(path), etag };
    const known = await this.#find(path, etag); // of a server that does not answer HEAD
    if (known) {
      await remote[Symbol.asyncDispose]();
      return this.#healing(path, known);
    }
    try {
      await using download = await this.#cache.download(file, this.#options.signal) ?? null;
      if (download) await copy(remote, download);
      this.#keeps = true;
      for (const path of this.#absent) await this.#cache.setAbsent(this.#file(path));
      this.#absent.clear();
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (error instanceof ReadError) throw error.cause;
      const isTold = this.#telling && !(error instanceof TakenOverError);
      if (isTold) this.#notice(`The cache cannot be written: ${messageOf(error)}`);
      return remote;
    }
    const kept = await this.#find(path, etag);
    if (!kept) return remote;
    await remote[Symbol.asyncDispose]();
    return this.#healing(path, kept);
  }

  async #noteAbsent(path: string): Promise<void> {
    if (!this.#keeps) this.#absent.add(path);
    else await this.#cache.setAbsent(this.#file(path)).catch(() => {});
  }

  #notice(message: string): void {
    this.#options.onProgress?.({ type: "notice", message });
  }

  #file(path: string): CachedFile {
    return { ...this.#folder, path, etag: undefined };
  }

  #url(path: string): URL {
    const url = new URL(this.#root);
    url.pathname = joinPath(url.pathname, path.split("/").map(encodeURIComponent).join("/"));
    return url;
  }
}

/** Whether an error means that a server cannot be reached, or cannot answer. */
function isUnreachable(error: unknown): boolean {
  if (error instanceof HttpError) return error.status >= 500;
  return !(error instanceof MissingFileError || error instanceof RedirectError);
}

/** What changes with a file, if its server tells that. */
function versionOf({ headers }: Response): string | undefined {
  return headers.get("etag") ?? headers.get("last-modified") ?? undefined;
}

/** A file could not be read, which has nothing to do with the cache. */
class ReadError extends Error {}

/** @throws {ReadError} If the file cannot be read. */
async function copy(from: FileSource, to: Download): Promise<void> {
  let hasher = createSha256();
  if (to.size > from.size) await to.restart();
  try {
    for await (const chunk of to.chunks()) hasher.update(chunk);
  } catch {
    await to.restart(); // the cache cannot read what it wrote
    hasher = createSha256();
  }
  while (to.size < from.size) {
    const length = Math.min(BLOCK_BYTES, from.size - to.size);
    const bytes = await from.read(to.size, length).catch((cause) => {
      throw new ReadError("the file cannot be read", { cause });
    });
    hasher.update(bytes);
    await to.append(bytes);
  }
  await to.finish(hasher.digest());
}
