/**
 * Downloads into a cache on disk, without locks, which not all file systems have. A file that comes has a name
 * of its own beside its content, and gets that of the content when it is complete: two processes that download
 * the same never write to the same file.
 *
 * A process that finds such a file waits while it grows. If it does not, whoever renames it first goes on with
 * it; the other, if it still lives, finds the name gone and waits in its turn.
 *
 * @module
 */

import {
  type FileSystem,
  hasCode,
  isSystemError,
  type OpenFile,
  writeAll,
} from "../files/file_system.ts";
import { delay } from "../files/http.ts";
import { type Download, TakenOverError } from "./cache.ts";
import { makeFolderOf, removeIfThere } from "./checked_files.ts";

/** Bytes that are read at a time of a download that is resumed. */
const CHUNK_BYTES = 2 ** 20;

/** Milliseconds between two looks at what another process downloads. */
const LOOK_INTERVAL = 100;

/** Looks without a new byte after which a download counts as broken off. */
const QUIET_LOOKS = 15;

/** Milliseconds after which one is broken off in any case, also one of Python's. */
const LONG_AGO = 60_000;

/** Milliseconds between two pieces after which another process may have taken the download over. */
const PAUSE = LOOK_INTERVAL * QUIET_LOOKS / 2;

/** Where a download goes, and what is done with it. */
export interface DownloadPlace {
  /** Path of the content when it is complete. */
  readonly blob: string;
  /** Whether the content is there. */
  isComplete(): Promise<boolean>;
  /**
   * Called when the content is at its path.
   *
   * @param sha256 SHA-256 of what was written.
   * @param alone Whether nobody else can have written to it.
   */
  complete(sha256: string, alone: boolean): Promise<void>;
}

/**
 * Begins a download, or goes on with one that was broken off. Waits while another process downloads the same.
 *
 * @returns Undefined if it is complete then.
 */
export async function beginDiskDownload(
  files: FileSystem,
  place: DownloadPlace,
  signal?: AbortSignal,
): Promise<Download | undefined> {
  await makeFolderOf(files, place.blob);
  const watched = new Watch(files, place.blob);
  while (true) {
    const others = await watched.look();
    if (others === undefined) {
      if (await place.isComplete()) return undefined;
      const path = `${place.blob}.0.incomplete`;
      const file = await openUnless(files, path, "EEXIST", { createNew: true });
      if (file) return new DiskDownload(files, place, { file, path, size: 0, alone: true });
    } else if (others.quiet === undefined) {
      await delay(LOOK_INTERVAL, signal);
    } else {
      const taken = await takeOver(files, place, others.quiet);
      if (taken) return taken;
    }
  }
}

/** Goes on with what was broken off, unless another process is faster. */
async function takeOver(
  files: FileSystem,
  place: DownloadPlace,
  from: string,
): Promise<Download | undefined> {
  const path = ownPath(place.blob);
  try {
    await files.rename(from, path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
  const file = await openUnless(files, path, "ENOENT", {});
  if (!file) return undefined;
  const { size } = await file.stat();
  return new DiskDownload(files, place, { file, path, size, alone: false });
}

function ownPath(blob: string): string {
  return `${blob}.${crypto.randomUUID().slice(0, 8)}.incomplete`;
}

async function openUnless(
  files: FileSystem,
  path: string,
  code: string,
  mode: { readonly createNew?: boolean },
): Promise<OpenFile | undefined> {
  try {
    return await files.open(path, { read: true, write: true, ...mode });
  } catch (error) {
    if (hasCode(error, code)) return undefined;
    throw writingError(path, error);
  }
}

/** What others download of a content. */
class Watch {
  readonly #files: FileSystem;
  readonly #folder: string;
  readonly #prefix: string;
  readonly #seen = new Map<string, { size: number; looks: number }>();

  constructor(files: FileSystem, blob: string) {
    const end = blob.lastIndexOf("/");
    this.#files = files;
    this.#folder = blob.slice(0, end);
    this.#prefix = `${blob.slice(end + 1)}.`;
  }

  /** The biggest that was broken off, unless one of them still grows; undefined if there are none. */
  async look(): Promise<{ readonly quiet: string | undefined } | undefined> {
    let biggest: { path: string; size: number } | undefined;
    let grows = false;
    for await (const name of this.#names()) {
      const path = `${this.#folder}/${name}`;
      const found = await this.#lookAt(path, this.#isPythons(name));
      if (found === undefined) continue;
      if (!found.quiet) grows = true;
      if (!biggest || found.size > biggest.size) biggest = { path, size: found.size };
    }
    return biggest && { quiet: grows ? undefined : biggest.path };
  }

  /** Removes them all, as the content is there. Who still writes to one finds its name gone at last. */
  async removeAll(): Promise<void> {
    for await (const name of this.#names()) {
      if (this.#isPythons(name)) continue;
      // Some systems do not remove what is open elsewhere.
      await this.#files.remove(`${this.#folder}/${name}`).catch(() => {});
    }
  }

  async *#names(): AsyncGenerator<string, void, void> {
    for await (const { name } of this.#files.readDir(this.#folder)) {
      if (name.startsWith(this.#prefix) && name.endsWith(".incomplete")) yield name;
    }
  }

  #isPythons(name: string): boolean {
    return name === `${this.#prefix}incomplete`;
  }

  /** @param isPython Whether it is one of Python's, which may not lose it while it runs. */
  async #lookAt(
    path: string,
    isPython: boolean,
  ): Promise<{ size: number; quiet: boolean } | undefined> {
    try {
      const { size, mtime } = await this.#files.stat(path);
      const old = mtime !== null && Date.now() - mtime.getTime() > LONG_AGO;
      if (isPython) return old ? { size, quiet: true } : undefined;
      const before = this.#seen.get(path);
      const looks = before?.size === size ? before.looks + 1 : 0;
      this.#seen.set(path, { size, looks });
      return { size, quiet: old || isLeft(path) || looks >= QUIET_LOOKS };
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }
}

/** Whether a process has left the file on its own account. */
function isLeft(path: string): boolean {
  return path.endsWith("-left.incomplete");
}

/** The file in which a download comes. */
interface Incomplete {
  readonly file: OpenFile;
  readonly path: string;
  readonly size: number;
  /** Whether no other process has ever had it. */
  readonly alone: boolean;
}

class DiskDownload implements Download {
  readonly #files: FileSystem;
  readonly #place: DownloadPlace;
  #file: OpenFile;
  #path: string;
  #alone: boolean;
  #size: number;
  #lastWrite = performance.now();
  #open = true;

  constructor(files: FileSystem, place: DownloadPlace, { file, path, size, alone }: Incomplete) {
    this.#files = files;
    this.#place = place;
    this.#file = file;
    this.#path = path;
    this.#size = size;
    this.#alone = alone;
  }

  get size(): number {
    return this.#size;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    await this.#file.seek(0, 0);
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let done = 0; done < this.#size;) {
      const count = await this.#file.read(buffer.subarray(0, this.#size - done));
      if (count === null) throw new Error("the cache has lost a part of the file");
      yield buffer.subarray(0, count);
      done += count;
    }
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (performance.now() - this.#lastWrite > PAUSE) await this.#expectMine();
    try {
      await this.#file.seek(this.#size, 0);
      await writeAll(this.#file, bytes);
    } catch (error) {
      throw writingError(this.#path, error);
    }
    this.#size += bytes.length;
    this.#lastWrite = performance.now();
  }

  async restart(): Promise<void> {
    if (this.#size === 0) return;
    // Not the same file once more, to which another process may still write.
    await this.#expectMine();
    this.#file.close();
    this.#open = false;
    await removeIfThere(this.#files, this.#path);
    this.#path = ownPath(this.#place.blob);
    try {
      this.#file = await this.#files.open(this.#path, { read: true, write: true, createNew: true });
    } catch (error) {
      throw writingError(this.#path, error);
    }
    this.#open = true;
    this.#alone = true;
    this.#size = 0;
  }

  async finish(sha256: string): Promise<void> {
    try {
      await this.#file.syncData();
    } catch (error) {
      throw writingError(this.#path, error);
    }
    await this.#expectMine();
    this.#close();
    try {
      await this.#files.rename(this.#path, this.#place.blob);
    } catch (error) {
      throw hasCode(error, "ENOENT") ? takenOver() : writingError(this.#place.blob, error);
    }
    await this.#place.complete(sha256, this.#alone);
    await new Watch(this.#files, this.#place.blob).removeAll();
  }

  /** Leaves what came to whoever goes on with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    const isMine = await this.#isMine();
    this.#close();
    if (!isMine) return;
    try {
      if (this.#size === 0) await removeIfThere(this.#files, this.#path);
      else {
        const left = this.#path.replace(
          /incomplete$/,
          `${crypto.randomUUID().slice(0, 8)}-left.$&`,
        );
        await this.#files.rename(this.#path, left);
      }
    } catch {
      // Another process has taken it over.
    }
  }

  #close(): void {
    this.#open = false;
    this.#file.close();
  }

  async #expectMine(): Promise<void> {
    if (!await this.#isMine()) throw takenOver();
  }

  /** Whether the name still means the open file. */
  async #isMine(): Promise<boolean> {
    try {
      const [open, named] = [await this.#file.stat(), await this.#files.stat(this.#path)];
      return open.ino === named.ino;
    } catch {
      return false;
    }
  }
}

function takenOver(): TakenOverError {
  return new TakenOverError("Cannot go on with a download: another process took it over");
}

/** The error for what cannot be written, such as on a full disk: those of the system name no file. */
function writingError(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new Error(`Cannot write ${path}: ${error.message}`, { cause: error });
}
