/**
 * Folders on disk that are being written.
 *
 * @module
 */

import type { ByteSink, FolderTransaction, FolderWriter } from "./folder_writer.ts";
import { checkPath, joinPath } from "./paths.ts";

/** Files under temporary names until all of them are there. */
export class DiskTransaction implements FolderTransaction {
  readonly description: string;
  /** Temporary names by final ones. */
  readonly #files = new Map<string, string>();
  readonly #newFolders: string[] = [];
  readonly #suffix = `${crypto.randomUUID().slice(0, 8)}.tmp`;

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
      await Deno.rename(temporary, final);
      this.#files.delete(final);
    }
    this.#newFolders.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const temporary of this.#files.values()) await removeIfThere(temporary);
    this.#files.clear();
    for (const path of this.#newFolders.splice(0).reverse()) await removeIfThere(path);
  }

  /** Makes the folder itself, with those above it. */
  async begin(): Promise<void> {
    try {
      await Deno.stat(this.description);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.mkdir(this.description, { recursive: true });
      this.#newFolders.push(this.description);
    }
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

/** Removes a file or an empty folder; leaves a folder into which others have written. */
async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    const gone = error instanceof Deno.errors.NotFound;
    if (!gone && !(await Deno.stat(path)).isDirectory) throw error;
  }
}
