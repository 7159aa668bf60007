/**
 * Writing the files of a model so that nothing half-written is ever seen, where there is a file system.
 *
 * @module
 */

import { type FileSystem, hasCode } from "./file_system.ts";
import { fileSystem } from "./find_file_system.ts";
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
  /** Gives all files their names. Files of the same names are replaced, others are left alone. */
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
  const transaction = new DiskTransaction(path, fileSystem(`write ${path}`));
  await transaction.begin();
  return transaction;
}

class DiskTransaction implements FolderTransaction {
  readonly description: string;
  readonly #disk: FileSystem;
  /** Temporary names by final ones. */
  readonly #files = new Map<string, string>();
  readonly #newFolders: string[] = [];
  readonly #suffix = `${crypto.randomUUID().slice(0, 8)}.tmp`;

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
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
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

  async commit(): Promise<void> {
    for (const [final, temporary] of this.#files) {
      await this.#disk.rename(temporary, final);
      this.#files.delete(final);
    }
    this.#newFolders.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const temporary of this.#files.values()) await this.#removeIfThere(temporary);
    this.#files.clear();
    for (const path of this.#newFolders.splice(0).reverse()) await this.#removeIfThere(path);
  }

  /** Makes the folder itself, with those above it. */
  async begin(): Promise<void> {
    try {
      await this.#disk.stat(this.description);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
      await this.#disk.mkdir(this.description, { recursive: true });
      this.#newFolders.push(this.description);
    }
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

  /** Removes a file or an empty folder; leaves a folder into which others have written. */
  async #removeIfThere(path: string): Promise<void> {
    try {
      await this.#disk.remove(path);
    } catch (error) {
      if (!hasCode(error, "ENOENT") && !(await this.#disk.stat(path)).isDirectory) throw error;
    }
  }
}
