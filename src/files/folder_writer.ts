/**
 * Writing the files of a model so that nothing half-written is ever seen, where there is a file system.
 *
 * @module
 */

import { onExit } from "../base/exit.ts";
import { type FileSystem, hasCode, isSystemError, writeAll } from "./file_system.ts";
import { fileSystem } from "./find_file_system.ts";
import { INCOMPLETE_MARK, MARK_TEXT } from "./incomplete.ts";
import { checkPath, joinPath } from "./paths.ts";

/** Takes the next bytes of a file. They are not used again after the promise is fulfilled. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** A folder that files are written to. */
export interface FolderWriter {
  /** What it is, for error messages: a path. */
  readonly description: string;
  /** Writes a file of text, as {@linkcode FolderWriter.writeFile} does. */
  writeText(path: string, text: string): Promise<void>;
  /**
   * Writes a file bit by bit: `write` gives its bytes to a sink.
   *
   * @throws {TypeError} If what has its name is no file, or write-protected.
   */
  writeFile(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void>;
  /**
   * Has a file removed, when all is written, that may be there from before: what another model has left
   * must not be read with this one. A folder that is new needs no such method.
   */
  remove?(path: string): void;
  /** The folder below this one, such as `transformer`. */
  folder(path: string): FolderWriter;
}

/** A folder whose files appear all at once, when they are complete. */
export interface FolderTransaction extends FolderWriter, AsyncDisposable {
  /** Has {@linkcode FolderTransaction.commit} remove a file if it is there. */
  remove(path: string): void;
  /**
   * Gives all files their names. Files of the same names are replaced, others are left alone. While that
   * goes on, the folder bears a mark, with which no model is loaded from it.
   */
  commit(): Promise<void>;
}

/**
 * Begins to write a folder, which is made if it does not exist. Files are written under temporary names
 * until {@linkcode FolderTransaction.commit}; disposing without it removes them. Needs permission to
 * read and write the folder.
 *
 * @example
 * ```ts
 * await using folder = await writeFolder("model");
 * await folder.writeText("transformer/config.json", "{}");
 * await folder.commit();
 * ```
 *
 * @throws {TypeError} If there is no file system, or the folder cannot be made as a file is in its way.
 */
export async function writeFolder(path: string): Promise<FolderTransaction> {
  const transaction = new DiskTransaction(path, await fileSystem(`write ${path}`));
  await transaction.begin();
  return transaction;
}

class DiskTransaction implements FolderTransaction {
  readonly description: string;
  readonly #disk: FileSystem;
  /** Temporary names by final ones. */
  readonly #files = new Map<string, string>();
  readonly #removed: string[] = [];
  readonly #newFolders: string[] = [];
  readonly #suffix = `${crypto.randomUUID().slice(0, 8)}.tmp`;

  #forgetExit = (): void => {};

  constructor(path: string, disk: FileSystem) {
    this.description = path;
    this.#disk = disk;
  }

  async writeText(path: string, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    await this.writeFile(path, async (sink) => await sink(bytes));
  }

  async writeFile(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void> {
    const final = joinPath(this.description, checkPath(path));
    const temporary = `${final}.${this.#suffix}`;
    await naming(final, async () => {
      await this.#makeFolders(path);
      await this.#expectReplaceable(final);
    });
    this.#files.set(final, temporary);
    const mode = { write: true, create: true, truncate: true };
    using file = await naming(final, () => this.#disk.open(temporary, mode));
    // The system names no file: the disk may be full.
    await write((bytes) => naming(final, () => writeAll(file, bytes)));
  }

  async #expectReplaceable(path: string): Promise<void> {
    if (!await this.#exists(path)) return;
    const { isFile, mode } = await this.#disk.stat(path);
    if (!isFile) throw cannotWrite(path, "what has that name is no file");
    // To rename another over it would be allowed, but somebody has protected the file.
    if (mode !== null && (mode & 0o222) === 0) throw cannotWrite(path, "it is write-protected");
  }

  folder(path: string): FolderWriter {
    const prefix = checkPath(path);
    return {
      description: joinPath(this.description, prefix),
      writeText: (path, text) => this.writeText(joinPath(prefix, path), text),
      writeFile: (path, write) => this.writeFile(joinPath(prefix, path), write),
      remove: (path) => this.remove(joinPath(prefix, path)),
      folder: (path) => this.folder(joinPath(prefix, path)),
    };
  }

  remove(path: string): void {
    this.#removed.push(joinPath(this.description, checkPath(path)));
  }

  async commit(): Promise<void> {
    const marks = this.#marks();
    for (const mark of marks) await this.#writeMark(mark);
    // From here on the folder is neither what it was nor what it is to be.
    for (const [final, temporary] of this.#files) {
      await naming(final, () => this.#disk.rename(temporary, final));
      this.#files.delete(final);
    }
    for (const path of this.#removed.splice(0)) await this.#removeIfThere(path);
    for (const mark of marks) await this.#removeIfThere(mark);
    this.#newFolders.length = 0;
  }

  /** One in each folder that is changed, as parts of a model are also opened alone. */
  #marks(): readonly string[] {
    const changed = [...this.#files.keys(), ...this.#removed];
    if (changed.length < 2) return [];
    const folders = new Set(changed.map((path) => path.slice(0, path.lastIndexOf("/"))));
    return [...folders.add(this.description)].map((folder) => joinPath(folder, INCOMPLETE_MARK));
  }

  async #writeMark(mark: string): Promise<void> {
    using file = await this.#disk.open(mark, { write: true, create: true, truncate: true });
    await writeAll(file, new TextEncoder().encode(MARK_TEXT));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forgetExit();
    for (const temporary of this.#files.values()) await this.#removeIfThere(temporary);
    this.#files.clear();
    for (const path of this.#newFolders.splice(0).reverse()) await this.#removeIfThere(path);
  }

  /** For when the process is ended in the middle, which waits for nothing. */
  #removeAtExit(): void {
    for (const path of [...this.#files.values(), ...this.#newFolders.toReversed()]) {
      try {
        this.#disk.removeSync(path);
      } catch {
        // It was not made yet, or others have written into it.
      }
    }
  }

  /** Makes the folder itself, with those above it. */
  async begin(): Promise<void> {
    this.#forgetExit = onExit(() => this.#removeAtExit());
    const missing: string[] = [];
    for (let path = this.description; path !== "" && !await this.#exists(path);) {
      missing.push(path);
      path = path.replace(/[/\\]*[^/\\]*[/\\]*$/, "");
    }
    await naming(this.description, () => this.#makeFolder(this.description, { recursive: true }));
    this.#newFolders.push(...missing.reverse());
  }

  /** Makes a folder, if there is none; whether it did. */
  async #makeFolder(path: string, options: { readonly recursive: boolean }): Promise<boolean> {
    try {
      await this.#disk.mkdir(path, options);
      return true;
    } catch (error) {
      if (!hasCode(error, "EEXIST", "ENOTDIR")) throw error;
      if (await this.#exists(path) && (await this.#disk.stat(path)).isDirectory) return false;
      throw cannotWrite(path, "a file is in its way, expected a folder");
    }
  }

  /** Makes the folders that lead to a file, and remembers which are new. */
  async #makeFolders(path: string): Promise<void> {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      const folder = joinPath(this.description, path.slice(0, end));
      const isNew = await this.#makeFolder(folder, { recursive: false });
      if (isNew) this.#newFolders.push(folder);
    }
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.#disk.stat(path);
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
      throw error;
    }
  }

  /** Removes a file or an empty folder; leaves a folder into which others have written. */
  async #removeIfThere(path: string): Promise<void> {
    try {
      await this.#disk.remove(path);
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return;
      if (!(await this.#disk.stat(path)).isDirectory) throw error;
    }
  }
}

/** Does something with a file; errors of the system name it. */
async function naming<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new Error(`Cannot write ${path}: ${cause.message}`, { cause });
  }
}

function cannotWrite(path: string, reason: string): TypeError {
  return new TypeError(`Cannot write ${path}: ${reason}`);
}
