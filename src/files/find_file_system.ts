/**
 * The file system of the runtime.
 *
 * @module
 */

import type { FileSystem } from "./file_system.ts";
import { nodeFileSystem } from "./node_file_system.ts";

/** The file system, if there is one: of Deno, Node or Bun. */
export function findFileSystem(): FileSystem | undefined {
  return typeof Deno === "undefined" ? nodeFileSystem() : Deno;
}

/**
 * The file system.
 *
 * @param what What it is needed for, such as `open weights`.
 * @throws {TypeError} If there is none.
 */
export function fileSystem(what: string): FileSystem {
  const found = findFileSystem();
  if (found) return found;
  throw new TypeError(`Cannot ${what}: there is no file system here, expected an http(s) URL`);
}
