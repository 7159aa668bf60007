/**
 * Which model it is, by what is in its files: a queue must not hand the jobs of one model to another.
 *
 * @module
 */

import { VERSION } from "../base/version.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import { sha256 } from "../jobs/nats/job_message.ts";

/** Bytes from the beginning of a file that count: configs, and the names and shapes of weights. */
const HEAD = 65536;

/** Places of a longer file of which bytes count, and how many bytes. */
const SAMPLES = { places: 64, bytes: 1024 };

/** A folder that remembers which files were read. */
export class WatchedFolder implements ModelFolder {
  /** What it is, for error messages. */
  readonly description: string;
  /** Paths that were read, below the folder that was opened first. */
  readonly paths: Set<string>;
  readonly #folder: ModelFolder;
  readonly #path: string;

  /** Watches a folder, or with `path` and `paths` one below a watched folder. */
  constructor(folder: ModelFolder, path = "", paths: Set<string> = new Set()) {
    this.description = folder.description;
    this.paths = paths;
    this.#folder = folder;
    this.#path = path;
  }

  /** Whether the file is there. */
  async has(path: string): Promise<boolean> {
    return await this.#folder.has(path);
  }

  /** Reads a whole small file. */
  async readText(path: string): Promise<string> {
    this.paths.add(this.#path + path);
    return await this.#folder.readText(path);
  }

  /** Opens a file for reading in parts. */
  async open(path: string): Promise<FileSource> {
    this.paths.add(this.#path + path);
    return await this.#folder.open(path);
  }

  /** The folder below this one. */
  folder(path: string): ModelFolder {
    return new WatchedFolder(this.#folder.folder(path), `${this.#path}${path}/`, this.paths);
  }
}

/**
 * The identity of a model: a hash of its files' names and sizes, of the beginning of each and of samples of
 * the rest, of how weights are held, and of this library's version.
 *
 * @param paths Files that were read to load it.
 * @param dtype How weights are held; undefined as they are stored.
 */
export async function modelIdentity(
  folder: ModelFolder,
  paths: Iterable<string>,
  dtype: string | undefined,
): Promise<string> {
  const files: unknown[] = [];
  for (const path of [...paths].sort()) {
    // Some that were looked for may not be there.
    if (!await folder.has(path)) continue;
    await using file = await folder.open(path);
    files.push([path, file.size, await sha256(await samplesOf(file))]);
    file.release();
  }
  const text = JSON.stringify({ version: VERSION, dtype, files });
  return await sha256(new TextEncoder().encode(text));
}

async function samplesOf(file: FileSource): Promise<Uint8Array<ArrayBuffer>> {
  const head = await file.read(0, Math.min(HEAD, file.size));
  const parts = [head];
  const rest = file.size - head.length;
  const { places, bytes } = SAMPLES;
  for (let i = 1; i <= places && rest > 0; i++) {
    const end = head.length + Math.floor(rest * i / places);
    const start = Math.max(head.length, end - bytes);
    parts.push(await file.read(start, end - start));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
