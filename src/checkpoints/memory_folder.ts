/**
 * Files and folders that lie in memory.
 *
 * @module
 */

import { checkPath, checkRange, joinPath, missingFile, readTextOf } from "./paths.ts";
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
  return new MemoryFolder(new Map(Object.entries(files)), description, "");
}

class MemoryFolder implements ModelFolder {
  readonly #files: ReadonlyMap<string, Uint8Array<ArrayBuffer> | string>;
  readonly #root: string;
  readonly #prefix: string;

  constructor(
    files: ReadonlyMap<string, Uint8Array<ArrayBuffer> | string>,
    root: string,
    prefix: string,
  ) {
    this.#files = files;
    this.#root = root;
    this.#prefix = prefix;
  }

  get description(): string {
    return joinPath(this.#root, this.#prefix);
  }

  // deno-lint-ignore require-await -- so that errors reject
  async has(path: string): Promise<boolean> {
    return this.#files.has(joinPath(this.#prefix, checkPath(path)));
  }

  async readText(path: string): Promise<string> {
    const content = this.#content(path);
    if (typeof content === "string") return content;
    return await readTextOf(memoryFile(joinPath(this.description, path), content));
  }

  // deno-lint-ignore require-await -- so that errors reject
  async open(path: string): Promise<FileSource> {
    const content = this.#content(path);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return memoryFile(joinPath(this.description, path), bytes);
  }

  folder(path: string): ModelFolder {
    return new MemoryFolder(this.#files, this.#root, joinPath(this.#prefix, checkPath(path)));
  }

  #content(path: string): Uint8Array<ArrayBuffer> | string {
    const content = this.#files.get(joinPath(this.#prefix, checkPath(path)));
    if (content === undefined) throw missingFile(joinPath(this.description, path));
    return content;
  }
}
