/**
 * Folders of models over anything that finds and opens files by their paths.
 *
 * @module
 */

import { checkPath, joinPath, MAX_TEXT_BYTES, readTextOf } from "./paths.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/** Files by their paths below one root. */
export interface FileTree {
  /** What the root is, for error messages: a path or URL. */
  readonly description: string;
  /** Whether the file is there. */
  has(path: string): Promise<boolean>;
  /**
   * Opens a file for reading in parts.
   *
   * @param maxBytes Most bytes that are fetched at once where the file cannot be read in parts.
   * @throws {MissingFileError} If there is none.
   */
  open(path: string, maxBytes?: number): Promise<FileSource>;
}

/** The root of a tree as a folder. */
export function treeFolder(tree: FileTree): ModelFolder {
  return new TreeFolder(tree, "");
}

class TreeFolder implements ModelFolder {
  readonly #tree: FileTree;
  readonly #prefix: string;

  constructor(tree: FileTree, prefix: string) {
    this.#tree = tree;
    this.#prefix = prefix;
  }

  get description(): string {
    return joinPath(this.#tree.description, this.#prefix);
  }

  async has(path: string): Promise<boolean> {
    return await this.#tree.has(this.#below(path));
  }

  async readText(path: string): Promise<string> {
    return await readTextOf(await this.open(path, MAX_TEXT_BYTES));
  }

  async open(path: string, maxBytes?: number): Promise<FileSource> {
    return await this.#tree.open(this.#below(path), maxBytes);
  }

  folder(path: string): ModelFolder {
    return new TreeFolder(this.#tree, this.#below(path));
  }

  /** Path from the root. */
  #below(path: string): string {
    return joinPath(this.#prefix, checkPath(path));
  }
}
