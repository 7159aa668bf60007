/**
 * Writing the files of a model so that nothing half-written is ever seen. Needs `Deno`.
 *
 * @module
 */

import { INCOMPLETE_MARK, MARK_TEXT } from "./incomplete.ts";
import { checkPath, joinPath } from "./paths.ts";
import { requireDeno } from "./require_deno.ts";

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
 * @throws {TypeError} If this is not Deno.
 */
export async function writeFolder(path: string): Promise<FolderTransaction> {
  requireDeno(`write ${path}`);
  const transaction = new DiskTransaction(path);
  await transaction.begin();
  return transaction;
}

class DiskTransaction implements FolderTransaction {
  readonly description: string;
  /** Temporary names by final ones. */
  readonly #files = new Map<string, string>();
  readonly #removed: string[] = [];
  readonly #newFolders: string[] = [];
  readonly #suffix = `${crypto.randomUUID().slice(0, 8)}.tmp`;

  /** Also when the process is ended in the middle, which waits for nothing. */
  readonly #removeAtExit = (): void => {
    for (const path of [...this.#files.values(), ...this.#newFolders.toReversed()]) {
      try {
        Deno.removeSync(path);
      } catch {
        // It was not made yet, or others have written into it.
      }
    }
  };

  constructor(path: string) {
    this.description = path;
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
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    await write(async (bytes) => {
      try {
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
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
    for (const mark of marks) await Deno.writeTextFile(mark, MARK_TEXT);
    // From here on the folder is neither what it was nor what it is to be.
    for (const [final, temporary] of this.#files) {
      await Deno.rename(temporary, final);
      this.#files.delete(final);
    }
    for (const path of this.#removed.splice(0)) await removeIfThere(path);
    for (const mark of marks) await removeIfThere(mark);
    this.#newFolders.length = 0;
  }

  /** One in each folder that is changed, as parts of a model are also opened alone. */
  #marks(): readonly string[] {
    const changed = [...this.#files.keys(), ...this.#removed];
    if (changed.length < 2) return [];
    const folders = new Set(changed.map((path) => path.slice(0, path.lastIndexOf("/"))));
    return [...folders.add(this.description)].map((folder) => joinPath(folder, INCOMPLETE_MARK));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    globalThis.removeEventListener("unload", this.#removeAtExit);
    for (const temporary of this.#files.values()) await removeIfThere(temporary);
    this.#files.clear();
    for (const path of this.#newFolders.splice(0).reverse()) await removeIfThere(path);
  }

  /** Makes the folder itself, with those above it. */
  async begin(): Promise<void> {
    globalThis.addEventListener("unload", this.#removeAtExit);
    const missing: string[] = [];
    for (let path = this.description; path !== "" && !await exists(path);) {
      missing.push(path);
      path = path.replace(/[/\\]*[^/\\]*[/\\]*$/, "");
    }
    await Deno.mkdir(this.description, { recursive: true });
    this.#newFolders.push(...missing.reverse());
  }

  /** Makes the folders that lead to a file, and remembers which are new. */
  async #makeFolders(path: string): Promise<void> {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      const folder = joinPath(this.description, path.slice(0, end));
      try {
        await Deno.mkdir(folder);
        this.#newFolders.push(folder);
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a file or an empty folder; leaves a folder into which others have written. */
async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    const gone = error instanceof Deno.errors.NotFound;
    if (!gone && !(await Deno.stat(path)).isDirectory) throw error;
  }
}
