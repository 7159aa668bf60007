// The gallery's pictures, in the browser's IndexedDB.

import type { Settings } from "./api.ts";

/** The most pictures that are kept; the oldest go first. */
const MOST_PICTURES = 500;

const STORE = "pictures";

/** A picture with what it was drawn with; its seed is its own. */
export interface Picture {
  readonly id: number;
  readonly settings: Settings & { readonly seed: string };
  /** The prompt as it was drawn, with a style if its seed has chosen one; older pictures have none. */
  readonly drawn?: string;
  readonly png: Blob;
}

/** Opens the store; it is made when it is first opened. */
export async function openStore(): Promise<PictureStore> {
  const request = indexedDB.open("vq-diffusion", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return new PictureStore(await resultOf(request));
}

/** Pictures that survive reloading the page. */
export class PictureStore {
  readonly #database: IDBDatabase;

  constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /** All pictures, the newest first. */
  async all(): Promise<Picture[]> {
    const pictures: Picture[] = await resultOf(this.#objects("readonly").getAll());
    return pictures.reverse();
  }

  /** Adds a picture, and removes the oldest if there are too many. */
  async add(picture: Picture): Promise<void> {
    const objects = this.#objects("readwrite");
    await resultOf(objects.put(picture));
    const keys = await resultOf(objects.getAllKeys());
    await Promise.all(keys.slice(0, -MOST_PICTURES).map((key) => resultOf(objects.delete(key))));
  }

  /** Removes a picture. */
  async remove(id: number): Promise<void> {
    await resultOf(this.#objects("readwrite").delete(id));
  }

  #objects(mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction(STORE, mode).objectStore(STORE);
  }
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
