/**
 * The file system of Node and Bun. It is found at run time, so that bundlers see no import of it.
 *
 * @module
 */

import type { FileStatus, FileSystem, OpenFile, OpenMode } from "./file_system.ts";

/** What is used of `fs.Stats`. */
interface NodeStatus {
  isFile(): boolean;
  isDirectory(): boolean;
  readonly size: number;
  readonly mtime: Date;
  readonly ctime: Date;
  readonly ino: number;
  readonly mode: number;
}

/** What is used of `fs.Dirent`. */
interface NodeEntry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** What is used of `fs/promises`'s `FileHandle`. */
interface NodeFile {
  stat(): Promise<NodeStatus>;
  read(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }>;
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** What is used of `fs/promises`. */
interface NodeFiles {
  stat(path: string): Promise<NodeStatus>;
  lstat(path: string): Promise<NodeStatus>;
  open(path: string, flags: string): Promise<NodeFile>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  readdir(path: string, options: { readonly withFileTypes: true }): Promise<readonly NodeEntry[]>;
  mkdir(path: string, options?: { readonly recursive?: boolean }): Promise<unknown>;
  rmdir(path: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

/** What is used of `fs`. */
interface NodeFileSystem {
  readonly promises: NodeFiles;
  lstatSync(path: string): NodeStatus;
  rmdirSync(path: string): void;
  unlinkSync(path: string): void;
}

/** The file system, if this is Node or Bun. */
export function nodeFileSystem(): FileSystem | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(name: string): NodeFileSystem | undefined };
  };
  const system = process?.getBuiltinModule?.("node:fs");
  if (system === undefined) return undefined;
  const files = system.promises;
  return {
    stat: async (path) => statusOf(await files.stat(path)),
    lstat: async (path) => statusOf(await files.lstat(path)),
    open: async (path, mode) => new PositionedFile(await files.open(path, flagsOf(mode))),
    symlink: (target, path) => files.symlink(target, path),
    readLink: (path) => files.readlink(path),
    rename: (from, to) => files.rename(from, to),
    async *readDir(path) {
      for (const entry of await files.readdir(path, { withFileTypes: true })) {
        const { name } = entry;
        const isSymlink = entry.isSymbolicLink();
        yield { name, isFile: entry.isFile(), isDirectory: entry.isDirectory(), isSymlink };
      }
    },
    async mkdir(path, options) {
      await files.mkdir(path, options);
    },
    async remove(path) {
      const isFolder = (await files.lstat(path)).isDirectory();
      await (isFolder ? files.rmdir(path) : files.unlink(path));
    },
    removeSync(path) {
      const isFolder = system.lstatSync(path).isDirectory();
      if (isFolder) system.rmdirSync(path);
      else system.unlinkSync(path);
    },
  };
}

function statusOf(status: NodeStatus): FileStatus {
  const { size, mtime, ctime, ino, mode } = status;
  return {
    ...{ size, mtime, ctime, ino, mode },
    isFile: status.isFile(),
    isDirectory: status.isDirectory(),
  };
}

function flagsOf({ write, create, createNew, truncate }: OpenMode = {}): string {
  if (!write) return "r";
  if (createNew) return "wx+";
  return create && truncate ? "w" : "r+";
}

/** A file with a position. */
class PositionedFile implements OpenFile {
  readonly #file: NodeFile;
  #position = 0;

  constructor(file: NodeFile) {
    this.#file = file;
  }

  async stat(): Promise<FileStatus> {
    return statusOf(await this.#file.stat());
  }

  seek(offset: number): Promise<number> {
    this.#position = offset;
    return Promise.resolve(offset);
  }

  async read(bytes: Uint8Array): Promise<number | null> {
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, this.#position);
    this.#position += bytesRead;
    return bytesRead === 0 && bytes.length > 0 ? null : bytesRead;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const { bytesWritten } = await this.#file.write(bytes, 0, bytes.length, this.#position);
    this.#position += bytesWritten;
    return bytesWritten;
  }

  async syncData(): Promise<void> {
    await this.#file.datasync();
  }

  close(): void {
    // Whatever it had to say has been said by reading and writing.
    this.#file.close().catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
