/**
 * Files and folders that lie in memory.
 *
 * @module
 */

import { type FileTree, treeFolder } from "./file_tree.ts";
import { checkRange, joinPath, missingFile } from "./paths.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/**
 * A file that lies in memory.
 *
 * @param description What it is, for error messages.
 */
export function memoryFile(description: string, bytes: Uint8Array<ArrayBuffer>): FileSource {
  return {
    description,
    size: bytes.length,
    read(offset, length) {
      try {
        checkRange(description, bytes.length, offset, length);
        return Promise.resolve(bytes.slice(offset, offset + length));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    release() {
      // The bytes are all there is.
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * A folder whose files lie in memory, for models that a program carries along.
 *
 * @param files Contents by path, such as `{ "transformer/config.json": "{}" }`.
 * @param description What it is, for error messages.
 */
export function memoryFolder(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>,
  description = "memory",
): ModelFolder {
  return treeFolder(new MemoryTree(description, new Map(Object.entries(files))));
}

class MemoryTree implements FileTree {
  readonly description: string;
  readonly #files: ReadonlyMap<string, Uint8Array<ArrayBuffer> | string>;

  constructor(
    description: string,
    files: ReadonlyMap<string, Uint8Array<ArrayBuffer> | string>,
  ) {
    this.description = description;
    this.#files = files;
  }

  has(path: string): Promise<boolean> {
    return Promise.resolve(this.#files.has(path));
  }

  // deno-lint-ignore require-await -- so that errors reject
  async open(path: string): Promise<FileSource> {
    const content = this.#files.get(path);
    const location = joinPath(this.description, path);
    if (content === undefined) throw missingFile(location);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return memoryFile(location, bytes);
  }
}
