/**
 * Folders on disk, where there is a file system.
 *
 * @module
 */

import { refuseType } from "../base/check.ts";
import { hasCode, type OpenFile } from "./file_system.ts";
import { type FileTree, treeFolder } from "./file_tree.ts";
import { fileSystem } from "./find_file_system.ts";
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
 */
export async function openDiskFolder(
  path: string,
  options: DiskFolderOptions = {},
): Promise<ModelFolder> {
  if (path === "") {
    refuseType({ task: "open a folder", name: "path" }, path, "the path of a folder");
  }
  const files = fileSystem(`open ${path}`);
  try {
    if ((await files.stat(path)).isDirectory) return treeFolder(new DiskTree(path, options));
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw missingFile(`the folder ${path}`, error);
    throw error;
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
  const files = fileSystem(`read ${path}`);
  signal?.throwIfAborted();
  let file: OpenFile;
  try {
    file = await files.open(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw missingFile(path, error);
    throw error;
  }
  const { size, isDirectory } = await file.stat();
  if (isDirectory) {
    file.close();
    throw new TypeError(`Cannot read ${path}: it is a folder, expected a file`);
  }
  progress.begin(size);
  return new DiskFile(path, size, file, progress, signal);
}

class DiskTree implements FileTree {
  readonly description: string;
  readonly #options: DiskFolderOptions;

  constructor(root: string, options: DiskFolderOptions) {
    this.description = root;
    this.#options = options;
  }

  async has(path: string): Promise<boolean> {
    try {
      const location = joinPath(this.description, path);
      return (await fileSystem(`look for ${location}`).stat(location)).isFile;
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
      throw error;
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
    await this.#file.seek(offset, 0);
    let done = 0;
    while (done < length) {
      const count = await this.#file.read(bytes.subarray(done));
      if (count === null) {
        throw new RangeError(`Cannot read ${this.description}: it has become shorter meanwhile`);
      }
      done += count;
    }
    this.#progress.add(length);
    return bytes;
  }
}
