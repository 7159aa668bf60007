/**
 * A cache of files of the hub in the Cache API of browsers and of Deno. A file is kept in parts, so
 * that a download can be resumed, and so that reading does not need the whole file in memory.
 *
 * @module
 */

import { readBlocks } from "../files/blocks.ts";
import type { CachedFile, Download, HubCache } from "./cache.ts";
import { checkRange } from "../files/paths.ts";
import type { FileSource } from "../files/source.ts";

/** Name of the cache among those of a web page. */
const CACHE_NAME = "vq-diffusion";

/** Keys have to be URLs; nothing is ever requested from this one. */
const KEY_ROOT = "https://cache.invalid/";

/** Length of a part. What is missing of one when a download is broken off is downloaded again. */
const PART_BYTES = 8 * 2 ** 20;

/** A cache in the Cache API. */
export class BrowserCache implements HubCache {
  readonly #cache: Promise<Cache>;

  /** Opens the cache of this project among all caches. */
  constructor(storage: CacheStorage) {
    this.#cache = storage.open(CACHE_NAME);
    // Reported by the first use.
    this.#cache.catch(() => {});
  }

  /** Opens a file if it is there as a whole. */
  async find(file: CachedFile): Promise<FileSource | undefined> {
    const store = new Store(await this.#cache, file.repository);
    const pointer = file.commit === undefined ? undefined : `commit/${file.commit}/${file.path}`;
    const etag = file.etag ?? (pointer && await store.text(pointer));
    const size = etag === undefined ? undefined : await store.text(`blob/${etag}/size`);
    if (etag === undefined || size === undefined) return undefined;
    if (pointer !== undefined) await store.put(pointer, etag);
    return new CachedParts(store, etag, Number(size), `${file.path} in ${file.repository}`);
  }

  /** Begins or resumes the download of a file. */
  async download(file: CachedFile & { readonly etag: string }): Promise<Download | undefined> {
    const store = new Store(await this.#cache, file.repository);
    let parts = 0;
    while (await store.has(`blob/${file.etag}/${parts}`)) parts++;
    return new PartsDownload(store, file, parts);
  }

  /** Whether the hub has said that there is no such file in the commit. */
  async isAbsent({ repository, commit, path }: CachedFile): Promise<boolean> {
    const store = new Store(await this.#cache, repository);
    return commit !== undefined && await store.has(`absent/${commit}/${path}`);
  }

  /** Remembers that there is no such file in the commit. */
  async setAbsent({ repository, commit, path }: CachedFile): Promise<void> {
    if (commit === undefined) return;
    await new Store(await this.#cache, repository).put(`absent/${commit}/${path}`, "");
  }

  /** The commit that a revision was when the hub was asked last. */
  async commitOf(repository: string, revision: string): Promise<string | undefined> {
    return await new Store(await this.#cache, repository).text(`ref/${revision}`);
  }

  /** Remembers the commit that a revision is. */
  async setCommit(repository: string, revision: string, commit: string): Promise<void> {
    await new Store(await this.#cache, repository).put(`ref/${revision}`, commit);
  }
}

/** The entries of one model. */
class Store {
  readonly #cache: Cache;
  readonly #root: string;

  constructor(cache: Cache, repository: string) {
    this.#cache = cache;
    this.#root = `${KEY_ROOT}${repository}/`;
  }

  async bytes(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const response = await this.#cache.match(this.#url(key));
    return response && new Uint8Array(await response.arrayBuffer());
  }

  async text(key: string): Promise<string | undefined> {
    return await (await this.#cache.match(this.#url(key)))?.text();
  }

  async has(key: string): Promise<boolean> {
    const response = await this.#cache.match(this.#url(key));
    await response?.body?.cancel();
    return response !== undefined;
  }

  async put(key: string, content: string | Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#cache.put(this.#url(key), new Response(content));
  }

  async delete(key: string): Promise<boolean> {
    return await this.#cache.delete(this.#url(key));
  }

  #url(key: string): string {
    return this.#root + key.split("/").map(encodeURIComponent).join("/");
  }
}

class PartsDownload implements Download {
  readonly #store: Store;
  readonly #file: CachedFile & { readonly etag: string };
  readonly #part = new Uint8Array(PART_BYTES);
  #parts: number;
  #filled = 0;

  constructor(store: Store, file: CachedFile & { readonly etag: string }, parts: number) {
    this.#store = store;
    this.#file = file;
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts * PART_BYTES + this.#filled;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    for (let i = 0; i < this.#parts; i++) {
      const bytes = await this.#store.bytes(this.#key(i));
      if (bytes?.length !== PART_BYTES) throw new Error("the cache has lost a part of the file");
      yield bytes;
    }
    yield this.#part.subarray(0, this.#filled);
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const chunk = bytes.subarray(done, done + PART_BYTES - this.#filled);
      this.#part.set(chunk, this.#filled);
      this.#filled += chunk.length;
      done += chunk.length;
      if (this.#filled < PART_BYTES) return;
      await this.#store.put(this.#key(this.#parts), this.#part);
      this.#parts++;
      this.#filled = 0;
    }
  }

  async restart(): Promise<void> {
    for (; this.#parts > 0; this.#parts--) await this.#store.delete(this.#key(this.#parts - 1));
    this.#filled = 0;
  }

  async finish(): Promise<void> {
    const { etag, commit, path } = this.#file;
    const last = this.#part.slice(0, this.#filled);
    if (last.length > 0) await this.#store.put(this.#key(this.#parts), last);
    await this.#store.put(`blob/${etag}/size`, String(this.size));
    if (commit !== undefined) await this.#store.put(`commit/${commit}/${path}`, etag);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #key(part: number): string {
    return `blob/${this.#file.etag}/${part}`;
  }
}

class CachedParts implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #store: Store;
  readonly #etag: string;
  #last: { index: number; bytes: Promise<Uint8Array<ArrayBuffer>> } | undefined;

  constructor(store: Store, etag: string, size: number, description: string) {
    this.#store = store;
    this.#etag = etag;
    this.size = size;
    this.description = description;
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.description, this.size, offset, length);
    return await readBlocks(offset, length, PART_BYTES, (index) => this.#part(index));
  }

  release(): void {
    this.#last = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  #part(index: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#last?.index !== index) this.#last = { index, bytes: this.#load(index) };
    return this.#last.bytes;
  }

  async #load(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#store.bytes(`blob/${this.#etag}/${index}`);
    const expected = Math.min(PART_BYTES, this.size - index * PART_BYTES);
    if (bytes?.length === expected) return bytes;
    // Browsers throw away what they like when memory is short.
    await this.#store.delete(`blob/${this.#etag}/size`);
    throw new Error(
      `Cannot read ${this.description}: the cache has lost a part of it; load it again`,
    );
  }
}
