/**
 * A cache of files of the hub on disk, in the layout of Python's `huggingface_hub`:
 *
 * ```text
 * models--owner--name/
 *   refs/main                 the commit that the branch is
 *   blobs/<etag>              contents, and <etag>.incomplete while they come
 *   snapshots/<commit>/path   links to the contents
 *   .no_exist/<commit>/path   empty: there is no such file
 *   trees/<commit>.json       all files of the commit, since version 1
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
    try {
      await putIntoSnapshot(blob, snapshot);
    } catch {
      return content; // the cache may only be read
    }
    await content[Symbol.asyncDispose]();
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
      const { handle, path } = await openLocked(`${blob}.incomplete`, signal);
      try {
        // Another process may have finished the file, or thrown it away, before the lock was free.
        const complete = await this.find(file);
        if (complete) {
          await complete[Symbol.asyncDispose]();
          await removeIfThere(path);
        } else if (await isSameFile(handle, path)) {
          const { size } = await handle.stat();
          return new DiskDownload(handle, { size, path, blob, snapshot: this.#snapshotPath(file) });
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

  /** The list that Python keeps of a commit, or whether the commit was fetched as a model. */
  async filesOf(
    repository: string,
    commit: string,
  ): Promise<ReadonlySet<string> | "fetched" | undefined> {
    const folder = this.#folder(repository);
    const listed = await readTree(`${folder}/trees/${commit}.json`);
    if (listed) return listed;
    for (const path of ["model_index.json", "config.json"]) {
      const found = await openIfThere(`${folder}/snapshots/${commit}/${path}`, path);
      await found?.[Symbol.asyncDispose]();
      if (found) return "fetched";
    }
    return undefined;
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
    // There is nothing to write, which may not be possible.
    if (await this.commitOf(repository, revision) === commit) return;
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

/** Where a download is, and where it goes. */
interface DownloadPlace {
  /** Number of bytes that are there. */
  readonly size: number;
  /** Path while it comes. */
  readonly path: string;
  /** Path of the content. */
  readonly blob: string;
  /** Path in the snapshot, if the commit is known. */
  readonly snapshot: string | undefined;
}

class DiskDownload implements Download {
  readonly #handle: Deno.FsFile;
  readonly #place: DownloadPlace;
  #size: number;
  #closed = false;

  constructor(handle: Deno.FsFile, place: DownloadPlace) {
    this.#handle = handle;
    this.#place = place;
    this.#size = place.size;
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
    const { path, blob, snapshot } = this.#place;
    await this.#handle.syncData();
    await Deno.rename(path, blob);
    if (snapshot !== undefined) await putIntoSnapshot(blob, snapshot);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close(); // releases the lock
    const { path, blob } = this.#place;
    // No other process would find a file of this one's own.
    if (path !== `${blob}.incomplete`) await removeIfThere(path);
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

/**
 * Opens a file, and waits until no other process has it open in this way. Where the file system has no
 * locks, or such that lock nobody out, it is a file of this process's own: two that write to one file
 * could damage it when it is complete.
 */
async function openLocked(
  path: string,
  signal: AbortSignal | undefined,
): Promise<{ handle: Deno.FsFile; path: string }> {
  const options = { read: true, write: true, create: true };
  const handle = await Deno.open(path, options);
  try {
    while (!await tryLock(handle)) await delay(LOCK_INTERVAL, signal);
    using second = await Deno.open(path, options);
    if (!await tryLock(second)) return { handle, path };
    throw new NoLocksError("the lock does not lock others out");
  } catch (error) {
    const { size } = await handle.stat();
    handle.close();
    if (!(error instanceof NoLocksError)) throw error;
    if (size === 0) await removeIfThere(path); // opening has made it
  }
  const own = path.replace(/incomplete$/, `${crypto.randomUUID().slice(0, 8)}.incomplete`);
  return { handle: await Deno.open(own, options), path: own };
}

/** The file system has no locks that can be relied upon. */
class NoLocksError extends Error {}

async function tryLock(handle: Deno.FsFile): Promise<boolean> {
  try {
    return await handle.tryLock(true);
  } catch (cause) {
    throw new NoLocksError("the file system has no locks", { cause });
  }
}

/** The paths in a list of files of Python's, or undefined if there is no such list. */
async function readTree(path: string): Promise<ReadonlySet<string> | undefined> {
  let tree: unknown;
  try {
    tree = JSON.parse(await Deno.readTextFile(path));
  } catch {
    return undefined; // as if it were not there
  }
  const files = typeof tree === "object" && tree !== null && "files" in tree ? tree.files : null;
  return typeof files === "object" && files ? new Set(Object.keys(files)) : undefined;
}
