/**
 * Folders behind a URL whose files are known by their hashes, such as the embedded model of code that was imported
 * by URL: what is in the cache need not be asked for, and nothing else is taken for them.
 *
 * @module
 */

import { type FileTree, treeFolder } from "../files/file_tree.ts";
import { delay, type HttpOptions } from "../files/http.ts";
import { openHttpFile } from "../files/http_file.ts";
import { memoryFile } from "../files/memory_folder.ts";
import { describeUrl, joinPath, missingFile } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import { followingRedirects } from "../files/redirects.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import type { HubCache } from "./cache.ts";
import { sha256Of } from "./hashes.ts";

/** What is known of a file: its length in bytes and its SHA-256 in hexadecimal digits. */
export type KnownFile = readonly [size: number, sha256: string];

/** Name of these files in caches. */
const REPOSITORY = "vq-diffusion/embedded";

/** Bytes that are asked for at a time, as many as are kept. */
const BLOCK_BYTES = 8 * 2 ** 20;

/** Milliseconds that the cache is left alone after the first download: loading is more urgent. */
const KEEP_DELAY = 300;

/**
 * A folder behind an http(s) URL whose files are known. Each is read whole, checked, and kept in a cache where there
 * is one; if that does not work it is fetched at every start, without a word.
 *
 * @param files What is known of the files, by their paths.
 */
export function knownFolder(
  root: URL,
  files: Readonly<Record<string, KnownFile>>,
  cache: HubCache | undefined,
  options: HttpOptions = {},
): ModelFolder {
  return treeFolder(new KnownTree(root, files, cache, options));
}

class KnownTree implements FileTree {
  readonly description: string;
  readonly #root: URL;
  readonly #files: Readonly<Record<string, KnownFile>>;
  readonly #cache: HubCache | undefined;
  readonly #options: HttpOptions;
  /** Writes one file after the other to the cache. */
  #keeping: Promise<void> | undefined;

  constructor(
    root: URL,
    files: Readonly<Record<string, KnownFile>>,
    cache: HubCache | undefined,
    options: HttpOptions,
  ) {
    const fetch = followingRedirects(options.fetch ?? globalThis.fetch);
    this.description = describeUrl(root);
    this.#root = root;
    this.#files = files;
    this.#cache = cache;
    this.#options = { ...options, fetch };
  }

  has(path: string): Promise<boolean> {
    return Promise.resolve(Object.hasOwn(this.#files, path));
  }

  async open(path: string): Promise<FileSource> {
    const known = Object.hasOwn(this.#files, path) ? this.#files[path] : undefined;
    const description = joinPath(this.description, path);
    if (known === undefined) throw missingFile(description);
    const load = async () => await this.#cached(path, known) ?? await this.#fetch(path, known);
    return new KnownContent(description, await load(), load);
  }

  async #cached(
    path: string,
    [size, sha256]: KnownFile,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#options.signal?.throwIfAborted();
    try {
      const file = { repository: REPOSITORY, commit: undefined, path, etag: sha256 };
      await using found = await this.#cache?.find(file, this.#options.signal) ?? null;
      if (found?.size !== size) return undefined;
      const bytes = await found.read(0, size);
      if (await sha256Of(bytes) !== sha256) return undefined;
      new FileProgress(path, this.#options.onProgress).whole(size);
      return bytes;
    } catch {
      this.#options.signal?.throwIfAborted();
      return undefined;
    }
  }

  async #fetch(path: string, [size, sha256]: KnownFile): Promise<Uint8Array<ArrayBuffer>> {
    const url = new URL(this.#root);
    url.pathname = joinPath(url.pathname, path.split("/").map(encodeURIComponent).join("/"));
    const progress = new FileProgress(path, this.#options.onProgress);
    await using file = await openHttpFile(url, progress, this.#options);
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size && file.size === size; done += BLOCK_BYTES) {
      bytes.set(await file.read(done, Math.min(BLOCK_BYTES, size - done)), done);
    }
    const found = file.size === size
      ? `the SHA-256 ${await sha256Of(bytes)}`
      : `${file.size} bytes`;
    const expected = file.size === size ? `the SHA-256 ${sha256}` : `${size} bytes`;
    if (found !== expected) {
      throw new Error(
        `Cannot load the embedded model: ${file.description} has ${found}, expected ${expected}; ` +
          "it does not belong to this version of the code",
      );
    }
    // Not waited for: the picture is more urgent.
    if (this.#cache) {
      this.#keeping = (this.#keeping ?? delay(KEEP_DELAY, undefined))
        .then(() => this.#keep(path, bytes, sha256)).catch(() => {});
    }
    return bytes;
  }

  async #keep(path: string, bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<void> {
    const file = { repository: REPOSITORY, commit: undefined, path, etag: sha256 };
    await using download = await this.#cache?.download(file) ?? null;
    if (!download) return;
    if (download.size > 0) await download.restart();
    await download.append(bytes);
    await download.finish(sha256);
  }
}

/** A file that lies in memory until it is released. */
class KnownContent implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #load: () => Promise<Uint8Array<ArrayBuffer>>;
  #content: Promise<FileSource> | undefined;

  constructor(
    description: string,
    bytes: Uint8Array<ArrayBuffer>,
    load: () => Promise<Uint8Array<ArrayBuffer>>,
  ) {
    this.description = description;
    this.size = bytes.length;
    this.#load = load;
    this.#content = Promise.resolve(memoryFile(description, bytes));
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return await (await (this.#content ??= this.#loadAgain())).read(offset, length);
  }

  release(): void {
    this.#content = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  async #loadAgain(): Promise<FileSource> {
    try {
      return memoryFile(this.description, await this.#load());
    } catch (error) {
      this.#content = undefined; // the next read tries again
      throw error;
    }
  }
}
