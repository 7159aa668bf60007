/**
 * The file system of the runtime.
 *
 * @module
 */

import type { FileSystem } from "./file_system.ts";

/** Whether there is a file system: that of Deno, Node or Bun. */
export function hasFileSystem(): boolean {
  if (typeof Deno !== "undefined") return true;
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return process?.getBuiltinModule?.("node:fs") !== undefined;
}

/** The file system, if there is one. */
export async function findFileSystem(): Promise<FileSystem | undefined> {
  if (typeof Deno !== "undefined") return Deno;
  return hasFileSystem() ? (await import("./node_file_system.ts")).nodeFileSystem() : undefined;
}

/**
 * The file system.
 *
 * @param what What it is needed for, such as `open weights`.
 * @throws {TypeError} If there is none.
 */
export async function fileSystem(what: string): Promise<FileSystem> {
  const found = await findFileSystem();
  if (found) return found;
  throw new TypeError(`Cannot ${what}: there is no file system here, expected an http(s) URL`);
}
