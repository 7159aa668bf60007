/**
 * Files of a cache on disk that are compared with their hashes, once and whenever they have changed since. What
 * was found is noted in `.verified/` beside them.
 *
 * @module
 */

import { openDiskFile } from "../files/disk_folder.ts";
import { type FileStatus, type FileSystem, hasCode, writeAll } from "../files/file_system.ts";
import { joinPath, MissingFileError } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import type { FileSource } from "../files/source.ts";
import { DamagedFileError, type VerifyFiles } from "./cache.ts";
import { hashProblem } from "./file_hash.ts";
import { type ContentHash, hashOfName, isSha256 } from "./hashes.ts";

/** Greatest length of a note that is read. */
const MOST_BYTES = 10_000;

/** What is noted of a file. */
interface Note {
  /** Name of its content. */
  readonly name: string;
  /** SHA-256 of it, if its name is no hash. */
  readonly sha256?: string | undefined;
  /** Length and times at the last check; undefined if there was none. */
  readonly state?: string | undefined;
}

/** The files in the folder of one model in the cache. */
export class CheckedFiles {
  readonly #files: FileSystem;
  readonly #folder: string;
  readonly #verify: VerifyFiles;

  /** @param folder Folder of the model. */
  constructor(files: FileSystem, folder: string, verify: VerifyFiles) {
    this.#files = files;
    this.#folder = folder;
    this.#verify = verify;
  }

  /**
   * Opens a file if it is there, and if it has the content that is meant.
   *
   * @param path Path in the folder of the model.
   * @param name Name of the content that is meant; undefined if any is.
   * @throws {DamagedFileError} If it is not what its hash says.
   */
  async open(
    path: string,
    name: string | undefined,
    signal?: AbortSignal,
  ): Promise<FileSource | undefined> {
    const location = joinPath(this.#folder, path);
    const file = await openIfThere(location);
    if (!file) return undefined;
    try {
      const blob = await this.#blobOf(path);
      const note = await this.#read(blob ?? path);
      const found = blob?.slice("blobs/".length) ?? note?.name ?? name;
      if (name !== undefined && found !== name) {
        await file[Symbol.asyncDispose]();
        return undefined;
      }
      await this.#check(blob ?? path, file, found, note, signal);
      return file;
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Notes what a new file is.
   *
   * @param checked Whether it is known to be on the disk what it has to be.
   */
  async note(path: string, name: string, sha256: string, checked: boolean): Promise<void> {
    const key = await this.#blobOf(path) ?? path;
    const state = checked ? await this.#stateOf(key) : undefined;
    await this.#write(key, { name, sha256, state });
  }

  /** The path of the content that a link leads to; undefined if there is no link. */
  async #blobOf(path: string): Promise<string | undefined> {
    if (path.startsWith("blobs/")) return path;
    try {
      const target = await this.#files.readLink(joinPath(this.#folder, path));
      return /(?:^|[/\\])blobs[/\\]([^/\\]+)$/.exec(target)?.[1]?.replace(/^/, "blobs/");
    } catch {
      return undefined;
    }
  }

  async #check(
    key: string,
    file: FileSource,
    name: string | undefined,
    note: Note | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const expected = name === undefined ? undefined : hashOfName(name) ?? noted(note);
    if (name === undefined || expected === undefined || this.#verify === "never") return;
    const state = await this.#stateOf(key);
    if (this.#verify === "changed" && note?.state !== undefined && note.state === state) return;
    const problem = await hashProblem(file, expected, signal);
    if (problem) throw new DamagedFileError(`${file.description} is damaged: ${problem}`);
    await this.#write(key, { name, sha256: note?.sha256, state });
  }

  /** What changes when somebody writes to a file. */
  async #stateOf(key: string): Promise<string | undefined> {
    const status: FileStatus = await this.#files.stat(joinPath(this.#folder, key));
    if (status.mtime === null) return undefined;
    return [status.size, status.mtime.getTime(), status.ctime?.getTime()].join(" ");
  }

  async #read(key: string): Promise<Note | undefined> {
    const file = await openIfThere(this.#notePath(key));
    if (!file) return undefined;
    await using source = file;
    try {
      const text = new TextDecoder().decode(
        await source.read(0, Math.min(source.size, MOST_BYTES)),
      );
      const note: Partial<Record<keyof Note, unknown>> = JSON.parse(text);
      const { name, sha256, state } = note;
      if (typeof name !== "string") return undefined;
      return {
        name,
        sha256: isSha256(sha256) ? sha256 : undefined,
        state: typeof state === "string" ? state : undefined,
      };
    } catch {
      return undefined; // as if it were not there
    }
  }

  /** Writes a note, where that is possible: without it the file is checked again. */
  async #write(key: string, note: Note): Promise<void> {
    try {
      await writeFile(this.#files, this.#notePath(key), JSON.stringify(note));
    } catch {
      // The cache may only be read, or is full.
    }
  }

  #notePath(key: string): string {
    return joinPath(this.#folder, `.verified/${key}`);
  }
}

function noted(note: Note | undefined): ContentHash | undefined {
  return note?.sha256 === undefined ? undefined : { algorithm: "sha256", hex: note.sha256 };
}

/** Opens a file if it is there. */
export async function openIfThere(location: string): Promise<FileSource | undefined> {
  try {
    return await openDiskFile(location, new FileProgress(location, undefined));
  } catch (error) {
    if (error instanceof MissingFileError) return undefined;
    throw error;
  }
}

/** Writes a small file so that no other process ever sees half of it. */
export async function writeFile(files: FileSystem, path: string, text: string): Promise<void> {
  await makeFolderOf(files, path);
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await writeText(files, temporary, text);
    await files.rename(temporary, path);
  } catch (error) {
    await removeIfThere(files, temporary);
    throw error;
  }
}

async function writeText(files: FileSystem, path: string, text: string): Promise<void> {
  using file = await files.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, new TextEncoder().encode(text));
}

/** Makes the folder that a file is in. */
export async function makeFolderOf(files: FileSystem, path: string): Promise<void> {
  await files.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
}

/** Removes a file if it is there. */
export async function removeIfThere(files: FileSystem, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}
