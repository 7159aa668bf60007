/**
 * Folders on disk. Needs `Deno`, and says so where there is none.
 *
 * @module
 */

import { refuseType } from "../base/check.ts";
import { INCOMPLETE_MARK } from "./incomplete.ts";
import { type FileTree, treeFolder } from "./file_tree.ts";
import { checkRange, joinPath, missingFile } from "./paths.ts";
import { FileProgress, type OnProgress } from "./progress.ts";
import { requireDeno } from "./require_deno.ts";
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
 * @throws {TypeError} If it is a file, or this is not Deno.
 * @throws {SyntaxError} If its files were being replaced when a program was stopped.
 */
export async function openDiskFolder(
  path: string,
  options: DiskFolderOptions = {},
): Promise<ModelFolder> {
  if (path === "") {
    refuseType({ task: "open a folder", name: "path" }, path, "the path of a folder");
  }
  requireDeno(`open ${path}`);
  try {
    if ((await Deno.stat(path)).isDirectory) {
      await expectComplete(path);
      return treeFolder(new DiskTree(path, options));
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missingFile(`the folder ${path}`, error);
    throw readingError(path, error);
  }
  throw new TypeError(`Cannot open ${path}: it is a file, expected a folder`);
}

/**
 * Opens a file on disk for reading in parts. Needs permission to read it.
 *
 * @throws {MissingFileError} If there is none.
 * @throws {TypeError} If it is a folder, or this is not Deno.
 */
export async function openDiskFile(
  path: string,
  progress: FileProgress,
  signal?: AbortSignal,
): Promise<FileSource> {
  requireDeno(`read ${path}`);
  signal?.throwIfAborted();
  try {
    await expectFile(path);
    const file = await Deno.open(path);
    const { size } = await file.stat();
    progress.begin(size);
    return new DiskFile(path, size, file, progress, signal);
  } catch (error) {
    throw readingError(path, error);
  }
}

/** Refuses a folder whose files were being replaced when a program was stopped, or still are. */
async function expectComplete(folder: string): Promise<void> {
  try {
    await Deno.lstat(joinPath(folder, INCOMPLETE_MARK));
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
async function expectFile(path: string): Promise<void> {
  const { isFile, isDirectory } = await Deno.stat(path);
  if (isFile) return;
  const kind = isDirectory ? "a folder" : "a pipe, socket or device";
  throw new TypeError(`Cannot read ${path}: it is ${kind}, expected a file`);
}

/** The error for a file that cannot be read: those of the system name no path. */
function readingError(path: string, error: unknown): unknown {
  const { NotFound, NotADirectory, NotCapable } = Deno.errors;
  if (error instanceof NotFound || error instanceof NotADirectory) return missingFile(path, error);
  const isOfSystem = Object.values(Deno.errors).some((Class) => error instanceof Class) ||
    error instanceof Error && /\(os error \d+\)/.test(error.message);
  // A missing permission names itself.
  if (!isOfSystem || error instanceof NotCapable) return error;
  return new Error(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
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
      return (await Deno.stat(joinPath(this.description, path))).isFile;
    } catch (error) {
      const missing = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.NotADirectory;
      if (missing) return false;
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
  readonly #file: Deno.FsFile;
  readonly #progress: FileProgress;
  readonly #signal: AbortSignal | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    path: string,
    size: number,
    file: Deno.FsFile,
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
    await this.#file.seek(offset, Deno.SeekMode.Start);
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
