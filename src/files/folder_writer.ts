/**
 * Writing the files of a model so that nothing half-written is ever seen, where there is a file system.
 *
 * @module
 */

import { onExit } from "../base/exit.ts";
import { type FileSystem, hasCode, writeAll } from "./file_system.ts";
import { fileSystem } from "./find_file_system.ts";
import { INCOMPLETE_MARK, MARK_TEXT } from "./incomplete.ts";
import { checkPath, joinPath } from "./paths.ts";

/** Takes the next bytes of a file. They are not used again after the promise is fulfilled. */
export type ByteSink = (bytes: Uint8Array) => void | Promise<void>;

/** A folder that files are written to. */
export interface FolderWriter {
  /** What it is, for error messages: a path. */
  readonly description: string;
  /** Writes a file of text. */
  writeText(path: string, text: string): Promise<void>;
  /** Writes a file bit by bit: `write` gives its bytes to a sink. */
  writeFile(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void>;
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
 * @throws {TypeError} If there is no file system.
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
    await this.#makeFolders(path);
    this.#files.set(final, temporary);
    using file = await this.#disk.open(temporary, { write: true, create: true, truncate: true });
    await write(async (bytes) => {
      try {
        await writeAll(file, bytes);
      } catch (cause) {
        // The system names no file: the disk may be full.
        throw new Error(`Cannot write ${final}: ${(cause as Error).message}`, { cause });
      }
    });
  }

  folder(path: string): FolderWriter {
    const prefix = checkPath(path);
    return {
      description: joinPath(this.description, prefix),
      writeText: (path, text) => this.writeText(joinPath(prefix, path), text),
      writeFile: (path, write) => this.writeFile(joinPath(prefix, path), write),
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
      await this.#disk.rename(temporary, final);
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
    await this.#disk.mkdir(this.description, { recursive: true });
    this.#newFolders.push(...missing.reverse());
  }

  /** Makes the folders that lead to a file, and remembers which are new. */
  async #makeFolders(path: string): Promise<void> {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      const folder = joinPath(this.description, path.slice(0, end));
      try {
        await this.#disk.mkdir(folder);
        this.#newFolders.push(folder);
      } catch (error) {
        if (!hasCode(error, "EEXIST")) throw error;
      }
    }
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.#disk.stat(path);
      return true;
    } catch (error) {
      if (hasCode(error, "ENOENT")) return false;
      throw error;
    }
  }

  /** Removes a file or an empty folder; leaves a folder into which others have written. */
  async #removeIfThere(path: string): Promise<void> {
    try {
      await this.#disk.remove(path);
    } catch (error) {
      if (!hasCode(error, "ENOENT") && !(await this.#disk.stat(path)).isDirectory) throw error;
    }
  }
}
