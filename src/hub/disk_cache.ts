/**
 * A cache of files of the hub on disk, in the layout of Python's `huggingface_hub`:
 *
 * ```text
 * models--owner--name/
 *   refs/main                 the commit that the branch is
 *   blobs/<etag>              contents, and <etag>.incomplete while they come
 *   snapshots/<commit>/path   links to the contents
 *   .no_exist/<commit>/path   empty: there is no such file
 * ```
 *
 * Where links cannot be made (on Windows, or with permissions for this folder only) the contents lie in
 * `snapshots` themselves, as they do in Python then.
 *
 * @module
 */

import type { CachedFile, Download, HubCache } from "./cache.ts";
import { openDiskFile } from "../files/disk_folder.ts";
import { delay } from "../files/http.ts";
import { checkPath, joinPath, MissingFileError } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import type { FileSource } from "../files/source.ts";

/** Bytes that are read at a time of a download that is resumed. */
const CHUNK_BYTES = 2 ** 20;

/** Milliseconds between two looks at a lock. */
const LOCK_INTERVAL = 100;

/** A cache on disk. Needs permission to read and write its folder. */
export class DiskCache implements HubCache {
  readonly #root: string;

  /**
   * Uses a folder, which is made when something is written.
   *
   * @throws {TypeError} If this is not Deno.
   */
  constructor(root: string) {
    if (typeof Deno === "undefined") {
      throw new TypeError(`Cannot use the cache ${root}: it can only be used in Deno`);
    }
    this.#root = root;
  }

  /** Opens a file if it is there as a whole. */
  async find(file: CachedFile): Promise<FileSource | undefined> {
    const snapshot = this.#snapshotPath(file);
    const found = snapshot === undefined ? undefined : await openIfThere(snapshot, file.path);
    if (found || file.etag === undefined) return found;
    const blob = this.#blobPath(file, file.etag);
    const content = await openIfThere(blob, file.path);
    if (!content || snapshot === undefined) return content;
    await content[Symbol.asyncDispose]();
    await putIntoSnapshot(blob, snapshot);
    return await openIfThere(snapshot, file.path);
  }

  /** Begins or resumes the download of a file, alone. */
  async download(
    file: CachedFile & { readonly etag: string },
    signal?: AbortSignal,
  ): Promise<Download | undefined> {
    const blob = this.#blobPath(file, file.etag);
    await makeFolderOf(blob);
    while (true) {
      const handle = await openLocked(`${blob}.incomplete`, signal);
      try {
        // Another process may have finished the file, or thrown it away, before the lock was free.
        const complete = await this.find(file);
        if (complete) {
          await complete[Symbol.asyncDispose]();
          await removeIfThere(`${blob}.incomplete`);
        } else if (await isSameFile(handle, `${blob}.incomplete`)) {
          const { size } = await handle.stat();
          return new DiskDownload(handle, size, blob, this.#snapshotPath(file));
        }
        handle.close();
        if (complete) return undefined;
      } catch (error) {
        handle.close();
        throw error;
      }
    }
  }

  /** Whether the hub has said that there is no such file in the commit. */
  async isAbsent(file: CachedFile): Promise<boolean> {
    const marker = this.#pathIn(".no_exist", file);
    const found = marker === undefined ? undefined : await openIfThere(marker, file.path);
    await found?.[Symbol.asyncDispose]();
    return found !== undefined;
  }

  /** Remembers that there is no such file in the commit. */
  async setAbsent(file: CachedFile): Promise<void> {
    const marker = this.#pathIn(".no_exist", file);
    if (marker === undefined) return;
    await makeFolderOf(marker);
    await Deno.writeTextFile(marker, "");
  }

  /** The commit that a revision was when the hub was asked last. */
  async commitOf(repository: string, revision: string): Promise<string | undefined> {
    try {
      const commit = (await Deno.readTextFile(this.#refPath(repository, revision))).trim();
      return /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Remembers the commit that a revision is. */
  async setCommit(repository: string, revision: string, commit: string): Promise<void> {
    const path = this.#refPath(repository, revision);
    await makeFolderOf(path);
    const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
    await Deno.writeTextFile(temporary, commit);
    await Deno.rename(temporary, path);
  }

  #folder(repository: string): string {
    return joinPath(this.#root, `models--${repository.replaceAll("/", "--")}`);
  }

  #refPath(repository: string, revision: string): string {
    return `${this.#folder(repository)}/refs/${checkPath(revision)}`;
  }

  #blobPath({ repository }: CachedFile, etag: string): string {
    return `${this.#folder(repository)}/blobs/${etag}`;
  }

  #snapshotPath(file: CachedFile): string | undefined {
    return this.#pathIn("snapshots", file);
  }

  #pathIn(kind: string, { repository, commit, path }: CachedFile): string | undefined {
    if (commit === undefined) return undefined;
    return `${this.#folder(repository)}/${kind}/${commit}/${checkPath(path)}`;
  }
}

class DiskDownload implements Download {
  readonly #handle: Deno.FsFile;
  readonly #blob: string;
  readonly #snapshot: string | undefined;
  #size: number;
  #closed = false;

  constructor(handle: Deno.FsFile, size: number, blob: string, snapshot: string | undefined) {
    this.#handle = handle;
    this.#size = size;
    this.#blob = blob;
    this.#snapshot = snapshot;
  }

  get size(): number {
    return this.#size;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    await this.#handle.seek(0, Deno.SeekMode.Start);
    const buffer = new Uint8Array(CHUNK_BYTES);
    while (true) {
      const count = await this.#handle.read(buffer);
      if (count === null) return;
      yield buffer.subarray(0, count);
    }
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#handle.seek(this.#size, Deno.SeekMode.Start);
    for (let done = 0; done < bytes.length;) {
      const count = await this.#handle.write(bytes.subarray(done));
      done += count;
      this.#size += count;
    }
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#size = 0;
  }

  async finish(): Promise<void> {
    await this.#handle.syncData();
    await Deno.rename(`${this.#blob}.incomplete`, this.#blob);
    if (this.#snapshot !== undefined) await putIntoSnapshot(this.#blob, this.#snapshot);
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) this.#handle.close(); // releases the lock
    this.#closed = true;
    return Promise.resolve();
  }
}

/** Links a name in a snapshot to its content, or moves the content there. */
async function putIntoSnapshot(blob: string, snapshot: string): Promise<void> {
  await makeFolderOf(snapshot);
  const model = blob.slice(0, blob.lastIndexOf("/blobs/"));
  const depth = snapshot.slice(model.length + 1).split("/").length - 1;
  const target = `${"../".repeat(depth)}${blob.slice(model.length + 1)}`;
  await removeIfThere(snapshot); // a link whose content is gone
  try {
    await Deno.symlink(target, snapshot);
  } catch (error) {
    // Another process was faster, or there are no links here.
    if (!(error instanceof Deno.errors.AlreadyExists)) await Deno.rename(blob, snapshot);
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function openIfThere(location: string, path: string): Promise<FileSource | undefined> {
  try {
    return await openDiskFile(location, new FileProgress(path, undefined));
  } catch (error) {
    if (error instanceof MissingFileError) return undefined;
    throw error;
  }
}

async function makeFolderOf(path: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
}

/** Whether the name still means the open file. */
async function isSameFile(handle: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [open, named] = [await handle.stat(), await Deno.stat(path)];
    return open.ino === named.ino && open.dev === named.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Opens a file, and waits until no other process has it open in this way. */
async function openLocked(path: string, signal: AbortSignal | undefined): Promise<Deno.FsFile> {
  const handle = await Deno.open(path, { read: true, write: true, create: true });
  try {
    while (!await handle.tryLock(true)) await delay(LOCK_INTERVAL, signal);
    return handle;
  } catch (error) {
    handle.close();
    throw error;
  }
}
