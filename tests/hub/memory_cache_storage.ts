/**
 * A Cache API that keeps everything in memory.
 *
 * @module
 */

/** Caches in memory. */
export class MemoryCacheStorage implements CacheStorage {
  /** Whether there is no room for more. */
  isFull = false;
  readonly #caches = new Map<string, MemoryCache>();

  delete(name: string): Promise<boolean> {
    return Promise.resolve(this.#caches.delete(name));
  }

  has(name: string): Promise<boolean> {
    return Promise.resolve(this.#caches.has(name));
  }

  keys(): Promise<string[]> {
    return Promise.resolve([...this.#caches.keys()]);
  }

  match(): Promise<Response | undefined> {
    return Promise.reject(new Error("not needed"));
  }

  open(name: string): Promise<Cache> {
    const cache = this.#caches.get(name) ?? new MemoryCache(this);
    this.#caches.set(name, cache);
    return Promise.resolve(cache);
  }

  /** Loses entries, as browsers do. */
  forget(which: RegExp): void {
    for (const cache of this.#caches.values()) cache.forget(which);
  }

  /** Changes the last byte of entries. */
  damage(which: RegExp): void {
    for (const cache of this.#caches.values()) cache.damage(which);
  }
}

class MemoryCache implements Cache {
  readonly #storage: MemoryCacheStorage;
  readonly #entries = new Map<string, Uint8Array<ArrayBuffer>>();

  constructor(storage: MemoryCacheStorage) {
    this.#storage = storage;
  }

  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    if (this.#storage.isFull) throw new DOMException("no room", "QuotaExceededError");
    this.#entries.set(String(request), new Uint8Array(await response.arrayBuffer()));
  }

  match(request: RequestInfo | URL): Promise<Response | undefined> {
    const bytes = this.#entries.get(String(request));
    return Promise.resolve(bytes && new Response(bytes));
  }

  delete(request: RequestInfo | URL): Promise<boolean> {
    return Promise.resolve(this.#entries.delete(String(request)));
  }

  forget(which: RegExp): void {
    for (const url of this.#entries.keys()) if (which.test(url)) this.#entries.delete(url);
  }

  damage(which: RegExp): void {
    for (const [url, bytes] of this.#entries) {
      if (which.test(url)) this.#entries.set(url, bytes.with(-1, bytes.at(-1)! ^ 1));
    }
  }

  add(): Promise<void> {
    return Promise.reject(new Error("not needed"));
  }

  addAll(): Promise<void> {
    return Promise.reject(new Error("not needed"));
  }

  keys(): Promise<readonly Request[]> {
    return Promise.reject(new Error("not needed"));
  }

  matchAll(): Promise<readonly Response[]> {
    return Promise.reject(new Error("not needed"));
  }
}
