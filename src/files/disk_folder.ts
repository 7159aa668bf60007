/**
 * Folders on disk, where there is a file system.
 *
 * @module
 */

import { refuseType } from "../base/check.ts";
import { type FileSystem, hasCode, isSystemError, type OpenFile } from "./file_system.ts";
import { type FileTree, treeFolder } from "./file_tree.ts";
import { fileSystem } from "./find_file_system.ts";
import { INCOMPLETE_MARK } from "./incomplete.ts";
import { checkRange, joinPath, missingFile } from "./paths.ts";
import { FileProgress, type OnProgress } from "./progress.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/** How to read a folder, and what to notify. */
export interface DiskFolderOptions {
  /** Stops reading. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the events of every file. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Opens a folder on disk. Needs permission to read it.
 *
 * @throws {MissingFileError} If there is none.
 * @throws {TypeError} If it is a file, or there is no file system.
 * @throws {SyntaxError} If its files were being replaced when a program was stopped.
 */
export async function openDiskFolder(
  path: string,
  options: DiskFolderOptions = {},
): Promise<ModelFolder> {
  if (path === "") {
    refuseType({ task: "open a folder", name: "path" }, path, "the path of a folder");
  }
  const files = await fileSystem(`open ${path}`);
  try {
    if ((await files.stat(path)).isDirectory) {
      await expectComplete(files, path);
      return treeFolder(new DiskTree(files, path, options));
    }
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw missingFile(`the folder ${path}`, error);
    throw readingError(path, error);
  }
  throw new TypeError(`Cannot open ${path}: it is a file, expected a folder`);
}

/**
 * Opens a file on disk for reading in parts. Needs permission to read it.
 *
 * @throws {MissingFileError} If there is none.
 * @throws {TypeError} If it is a folder, or there is no file system.
 */
export async function openDiskFile(
  path: string,
  progress: FileProgress,
  signal?: AbortSignal,
): Promise<FileSource> {
  const files = await fileSystem(`read ${path}`);
  signal?.throwIfAborted();
  try {
    await expectFile(files, path);
    const file = await files.open(path);
    const { size } = await file.stat();
    progress.begin(size);
    return new DiskFile(path, size, file, progress, signal);
  } catch (error) {
    throw readingError(path, error);
  }
}

/** Refuses a folder whose files were being replaced when a program was stopped, or still are. */
async function expectComplete(files: FileSystem, folder: string): Promise<void> {
  try {
    await files.lstat(joinPath(folder, INCOMPLETE_MARK));
  } catch {
    return;
  }
  throw new SyntaxError(
    `Cannot open ${folder}: it is incomplete, as its files are being replaced or a program was ` +
      `stopped while it did that; save or convert the model again`,
  );
}

/**
 * Refuses all but regular files before one is opened: opening a pipe waits for whoever writes to it, and a
 * device may have no end.
 */
async function expectFile(files: FileSystem, path: string): Promise<void> {
  const { isFile, isDirectory } = await files.stat(path);
  if (isFile) return;
  const kind = isDirectory ? "a folder" : "a pipe, socket or device";
  throw new TypeError(`Cannot read ${path}: it is ${kind}, expected a file`);
}

/** The error for a file that cannot be read: those of the system name no path. */
function readingError(path: string, error: unknown): unknown {
  if (hasCode(error, "ENOENT", "ENOTDIR")) return missingFile(path, error);
  if (!isSystemError(error)) return error;
  return new Error(`Cannot read ${path}: ${error.message}`, { cause: error });
}

class DiskTree implements FileTree {
  readonly description: string;
  readonly #files: FileSystem;
  readonly #options: DiskFolderOptions;

  constructor(files: FileSystem, root: string, options: DiskFolderOptions) {
    this.#files = files;
    this.description = root;
    this.#options = options;
  }

  async has(path: string): Promise<boolean> {
    try {
      return (await this.#files.stat(joinPath(this.description, path))).isFile;
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
      throw readingError(joinPath(this.description, path), error);
    }
  }

  async open(path: string): Promise<FileSource> {
    const { onProgress, signal } = this.#options;
    const progress = new FileProgress(path, onProgress);
    return await openDiskFile(joinPath(this.description, path), progress, signal);
  }
}

class DiskFile implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #file: OpenFile;
  readonly #progress: FileProgress;
  readonly #signal: AbortSignal | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    path: string,
    size: number,
    file: OpenFile,
    progress: FileProgress,
    signal: AbortSignal | undefined,
  ) {
    this.description = path;
    this.size = size;
    this.#file = file;
    this.#progress = progress;
    this.#signal = signal;
  }

  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    // One after another: the position in the file is shared.
    const result = this.#queue.then(() => this.#read(offset, length));
    this.#queue = result.catch(() => {});
    return result;
  }

  release(): void {
    // Nothing is kept.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    this.#file.close();
    this.#progress.done();
  }

  async #read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#signal?.throwIfAborted();
    checkRange(this.description, this.size, offset, length);
    const bytes = new Uint8Array(length);
    let done = 0;
    await this.#file.seek(offset, 0);
    while (done < length) {
      const count = await this.#readInto(bytes.subarray(done));
      if (count === null) {
        throw new RangeError(`Cannot read ${this.description}: it has become shorter meanwhile`);
      }
      done += count;
    }
    this.#progress.add(length);
    return bytes;
  }

  async #readInto(bytes: Uint8Array): Promise<number | null> {
    try {
      return await this.#file.read(bytes);
    } catch (error) {
      throw readingError(this.description, error);
    }
  }
}
