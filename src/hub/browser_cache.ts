/**
 * A cache of files in the Cache API of browsers and of Deno. A file is kept in parts, so that a download can be
 * resumed, and so that reading does not need the whole file in memory.
 *
 * There are no locks, and several tabs or processes may download the same file at the same time. So no part is
 * ever written twice: each has a name of its own, and a file is the list of its parts, with their hashes, which
 * is written last. Deno keeps what was replaced or deleted on disk for ever, which is one more reason.
 *
 * @module
 */

import { readBlocks } from "../files/blocks.ts";
import { delay, messageOf } from "../files/http.ts";
import { checkRange } from "../files/paths.ts";
import type { FileSource } from "../files/source.ts";
import {
  type CachedFile,
  DamagedFileError,
  type Download,
  type HubCache,
  type VerifyFiles,
} from "./cache.ts";
import { isSha256, sha256Of } from "./hashes.ts";

/** Name of the cache among those of a web page. */
const CACHE_NAME = "vq-diffusion";

/** Keys have to be URLs; nothing is ever requested from this one. */
const KEY_ROOT = "https://cache.invalid/";

/** Length of a part. What is missing of one when a download is broken off is downloaded again. */
const PART_BYTES = 8 * 2 ** 20;

/** Tries of what fails when others write to the database of the cache at the same time. */
const MOST_TRIES = 6;

/** A cache in the Cache API. */
export class BrowserCache implements HubCache {
  readonly #cache: Promise<Cache>;
  readonly #verify: VerifyFiles;
  /** Lists of parts that were found damaged: of files that have to be downloaded again. */
  readonly #damaged = new Set<string>();

  /**
   * Opens the cache of this project among all caches.
   *
   * @param verify When parts are compared with their hashes: `"changed"`, the default, means always here.
   */
  constructor(storage: CacheStorage, verify: VerifyFiles = "changed") {
    this.#verify = verify;
    this.#cache = persistently(() => storage.open(CACHE_NAME));
    // Reported by the first use.
    this.#cache.catch(() => {});
  }

  /** Opens a file if it is there as a whole. */
  async find(file: CachedFile): Promise<FileSource | undefined> {
    const store = await this.#readable(file.repository);
    if (!store) return undefined;
    const pointer = pointerOf(file);
    const known = pointer && await store.text(pointer);
    const etag = file.etag ?? known;
    const parts = etag === undefined ? undefined : await store.parts(fileKey(etag));
    if (etag === undefined || parts === undefined) return undefined;
    if (pointer !== undefined && known !== etag) {
      // A cache that is full can still be read.
      await store.put(pointer, etag).catch(() => {});
    }
    const description = `${file.path} of ${file.repository} in the cache`;
    const list = JSON.stringify(parts);
    if (this.#damaged.has(list)) throw damaged(description);
    const onDamage = () => void this.#damaged.add(list);
    return new CachedParts(store, {
      parts,
      description,
      check: this.#verify !== "never",
      onDamage,
    });
  }

  /** Begins or resumes the download of a file. */
  async download(file: CachedFile & { readonly etag: string }): Promise<Download | undefined> {
    const store = await this.#store(file.repository);
    const parts = await store.parts(progressKey(file.etag)) ?? [];
    return new PartsDownload(store, file, parts, await store.text(fileKey(file.etag)));
  }

  /** Whether the hub has said that there is no such file in the commit. */
  async isAbsent({ repository, commit, path }: CachedFile): Promise<boolean> {
    if (commit === undefined) return false;
    const store = await this.#readable(repository);
    return await store?.text(`absent/${commit}/${path}`) !== undefined;
  }

  /** Remembers that there is no such file in the commit. */
  async setAbsent(file: CachedFile): Promise<void> {
    const { repository, commit, path } = file;
    if (commit === undefined || await this.isAbsent(file)) return;
    await (await this.#store(repository)).put(`absent/${commit}/${path}`, "");
  }

  /** The commit that a revision was when the hub was asked last. */
  async commitOf(repository: string, revision: string): Promise<string | undefined> {
    return await (await this.#readable(repository))?.text(`ref/${revision}`);
  }

  /** Remembers the commit that a revision is. */
  async setCommit(repository: string, revision: string, commit: string): Promise<void> {
    if (await this.commitOf(repository, revision) === commit) return;
    await (await this.#store(repository)).put(`ref/${revision}`, commit);
  }

  /** Undefined where the cache cannot be opened, which is as if it were empty. */
  async #readable(repository: string): Promise<Store | undefined> {
    return await this.#store(repository).catch(() => undefined);
  }

  async #store(repository: string): Promise<Store> {
    return new Store(await this.#cache, repository);
  }
}

function pointerOf({ commit, path }: CachedFile): string | undefined {
  return commit === undefined ? undefined : `commit/${commit}/${path}`;
}

/** Key of the list of parts of a file. */
function fileKey(etag: string): string {
  return `file/${etag}`;
}

/** Key of the list of what there is of a file that is being downloaded. */
function progressKey(etag: string): string {
  return `progress/${etag}`;
}

/** Tries something again, a few times, while others write to the database of the cache. */
async function persistently<T>(task: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await task();
    } catch (error) {
      if (tries === MOST_TRIES || !/locked|busy/i.test(messageOf(error))) throw error;
      await delay(2 ** tries * 10 * (0.5 + Math.random()), undefined);
    }
  }
}

/** A part of a file: its key, length and SHA-256. */
interface Part {
  readonly key: string;
  readonly size: number;
  readonly sha256: string;
}

function isPart(value: unknown): value is Part {
  if (typeof value !== "object" || value === null) return false;
  const { key, size, sha256 } = value as Partial<Record<keyof Part, unknown>>;
  return typeof key === "string" && isSha256(sha256) && typeof size === "number" && size >= 0 &&
    size <= PART_BYTES;
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
    return await persistently(async () => {
      const response = await this.#cache.match(this.#url(key));
      return response && new Uint8Array(await response.arrayBuffer());
    });
  }

  async text(key: string): Promise<string | undefined> {
    const bytes = await this.bytes(key);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** A list of parts, if there is one. */
  async parts(key: string): Promise<readonly Part[] | undefined> {
    let list: unknown;
    try {
      list = JSON.parse(await this.text(key) ?? "");
    } catch {
      return undefined; // as if it were not there
    }
    if (!Array.isArray(list) || !list.every(isPart)) return undefined;
    return list.slice(0, -1).every(({ size }) => size === PART_BYTES) ? list : undefined;
  }

  /** The bytes of a part, if they are there. */
  async part(
    { key, size, sha256 }: Part,
    check: boolean,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.bytes(key);
    if (bytes?.length !== size) return undefined;
    return !check || await sha256Of(bytes) === sha256 ? bytes : undefined;
  }

  async put(key: string, content: string | Uint8Array<ArrayBuffer>): Promise<void> {
    await persistently(() => this.#cache.put(this.#url(key), new Response(content)));
  }

  async delete(key: string): Promise<void> {
    await persistently(() => this.#cache.delete(this.#url(key)));
  }

  #url(key: string): string {
    return this.#root + key.split("/").map(encodeURIComponent).join("/");
  }
}

class PartsDownload implements Download {
  readonly #store: Store;
  readonly #file: CachedFile & { readonly etag: string };
  readonly #id = crypto.randomUUID();
  readonly #buffer = new Uint8Array(PART_BYTES);
  /** The list of parts in whose place that of this download comes, if there is one: it is damaged. */
  readonly #replaced: string | undefined;
  /** Parts of this download, and of one that was broken off. */
  #parts: Part[];
  #filled = 0;

  constructor(
    store: Store,
    file: CachedFile & { readonly etag: string },
    parts: readonly Part[],
    replaced: string | undefined,
  ) {
    this.#replaced = replaced;
    this.#store = store;
    this.#file = file;
    this.#parts = parts.filter(({ size }) => size === PART_BYTES);
  }

  get size(): number {
    return this.#parts.length * PART_BYTES + this.#filled;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    for (const part of this.#parts) {
      const bytes = await this.#store.part(part, true);
      if (!bytes) throw new DamagedFileError("the cache has lost a part of the file");
      yield bytes;
    }
    yield this.#buffer.subarray(0, this.#filled);
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const chunk = bytes.subarray(done, done + PART_BYTES - this.#filled);
      this.#buffer.set(chunk, this.#filled);
      this.#filled += chunk.length;
      done += chunk.length;
      if (this.#filled < PART_BYTES) return;
      await this.#putPart();
      await this.#store.put(progressKey(this.#file.etag), JSON.stringify(this.#parts));
    }
  }

  async restart(): Promise<void> {
    if (this.#parts.length > 0) await this.#store.delete(progressKey(this.#file.etag));
    await this.#deleteOwn([]);
    this.#parts = [];
    this.#filled = 0;
  }

  async finish(): Promise<void> {
    const { etag } = this.#file;
    if (this.#filled > 0) await this.#putPart();
    // Another process may have been faster, and others may use its parts.
    const other = await this.#store.text(fileKey(etag)) === this.#replaced
      ? undefined
      : await this.#store.parts(fileKey(etag));
    if (other) await this.#deleteOwn(other);
    else await this.#store.put(fileKey(etag), JSON.stringify(this.#parts));
    const pointer = pointerOf(this.#file);
    if (pointer !== undefined) await this.#store.put(pointer, etag);
    if (this.#parts.length > 1) await this.#store.delete(progressKey(etag));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** Writes what has come since the last part as the next one. */
  async #putPart(): Promise<void> {
    const { etag } = this.#file;
    const bytes = this.#buffer.slice(0, this.#filled);
    const key = `part/${etag}/${this.#parts.length}-${this.#id}`;
    await this.#store.put(key, bytes);
    this.#parts.push({ key, size: bytes.length, sha256: await sha256Of(bytes) });
    this.#filled = 0;
  }

  /** Deletes the parts that this download has written, but for those of a file. */
  async #deleteOwn(file: readonly Part[]): Promise<void> {
    const kept = new Set(file.map(({ key }) => key));
    for (const { key } of this.#parts) {
      if (key.endsWith(this.#id) && !kept.has(key)) await this.#store.delete(key);
    }
  }
}

/** A file that is there. */
interface FoundParts {
  readonly parts: readonly Part[];
  readonly description: string;
  /** Whether parts are compared with their hashes. */
  readonly check: boolean;
  /** Called when one is not what it was. */
  onDamage(): void;
}

function damaged(description: string): DamagedFileError {
  return new DamagedFileError(`${description} is damaged: a part of it is lost or has changed`);
}

class CachedParts implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #store: Store;
  readonly #found: FoundParts;
  #last: { index: number; bytes: Promise<Uint8Array<ArrayBuffer>> } | undefined;

  constructor(store: Store, found: FoundParts) {
    this.#store = store;
    this.#found = found;
    this.size = found.parts.reduce((sum, { size }) => sum + size, 0);
    this.description = found.description;
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
    const { parts, check, onDamage } = this.#found;
    const bytes = await this.#store.part(parts[index]!, check);
    if (bytes) return bytes;
    // Browsers throw away what they like when memory is short.
    onDamage();
    throw damaged(this.description);
  }
}
