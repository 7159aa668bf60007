/**
 * Downloading a file into a cache: resumed where it was broken off, and checked when it is complete.
 *
 * @module
 */

import { type Download, type HubCache, TakenOverError } from "./cache.ts";
import {
  bodyOf,
  contentLength,
  contentRange,
  HttpError,
  type HttpOptions,
  messageOf,
  request,
  Retries,
} from "../files/http.ts";
import { describeUrl, missingFile } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import { type ContentHash, createHasher, createSha256, describeHash } from "./hashes.ts";

/** What is known of a file before it is downloaded. */
export interface ExpectedFile {
  /** Length in bytes. */
  readonly size: number | undefined;
  /** Its hash. */
  readonly hash: ContentHash | undefined;
  /** ETag for `If-Range`, if the server that sends the file gave it. */
  readonly validator: string | undefined;
}

/** A cache does not take a file: it may only be read, or is full. The cause says why. */
export class CacheWriteError extends Error {
  /** Always `"CacheWriteError"`. */
  override readonly name = "CacheWriteError";
}

/** How often a download goes on with what another process made of it, which had taken it over. */
const MOST_TURNS = 20;

/**
 * Downloads a file into a cache, unless another process does that meanwhile.
 *
 * @throws {CacheWriteError} If the cache does not take the file.
 * @throws {Error} For what {@linkcode downloadFile} throws it.
 */
export async function downloadInto(
  cache: HubCache,
  file: Parameters<HubCache["download"]>[0],
  url: URL,
  expected: ExpectedFile,
  options: HttpOptions,
): Promise<void> {
  for (let turn = 1;; turn++) {
    try {
      await using target = await beginDownload(cache, file, options.signal) ?? null;
      if (!target) return;
      const progress = new FileProgress(file.path, options.onProgress);
      return await downloadFile(url, target, expected, progress, options);
    } catch (error) {
      if (!(error instanceof TakenOverError) || turn === MOST_TURNS) throw error;
    }
  }
}

async function beginDownload(
  cache: HubCache,
  file: Parameters<HubCache["download"]>[0],
  signal: AbortSignal | undefined,
): Promise<Download | undefined> {
  try {
    return await cache.download(file, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new CacheWriteError("the cache does not take the file", { cause });
  }
}

/**
 * Downloads a file to the end. What `target` holds already is not downloaded again if the server can
 * give parts. If the connection is lost, the download goes on where it stopped.
 *
 * @throws {HttpError} If the server refuses the file.
 * @throws {MissingFileError} If there is none.
 * @throws {Error} If the connection is lost too often, or what came has another length or hash than was
 * expected. Then nothing of it is kept.
 * @throws {CacheWriteError} If the cache does not take what comes. Then nothing of it is kept either.
 * @throws {TakenOverError} If another process goes on with the download.
 */
export async function downloadFile(
  url: URL,
  target: Download,
  expected: ExpectedFile,
  progress: FileProgress,
  options: HttpOptions,
): Promise<void> {
  const task = new DownloadTask(url, target, expected, progress, options);
  await task.resume();
  const resumed = target.size > 0;
  await task.complete();
  let problem = await task.problem();
  // What was there from another time may have been damaged: once more, from the beginning.
  if (problem !== undefined && resumed) {
    await task.restart();
    await task.complete();
    problem = await task.problem();
  }
  if (problem !== undefined) {
    await target.restart();
    throw new Error(`Cannot download ${describeUrl(url)}: ${problem}`);
  }
  await writing(target, () => target.finish(task.sha256()));
  progress.done();
}

/** Writes to a cache, and empties the file if that fails, so that it takes no room. */
async function writing(target: Download, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (cause instanceof TakenOverError) throw cause;
    await target.restart().catch(() => {});
    throw new CacheWriteError("the cache does not take the file", { cause });
  }
}

class DownloadTask {
  readonly #url: URL;
  readonly #target: Download;
  readonly #expected: ExpectedFile;
  readonly #progress: FileProgress;
  readonly #options: HttpOptions;
  #hasher = createSha256();
  #sha256 = "";
  /** Length of the file, as the server reports it. */
  #size: number | undefined;

  constructor(
    url: URL,
    target: Download,
    expected: ExpectedFile,
    progress: FileProgress,
    options: HttpOptions,
  ) {
    this.#url = url;
    this.#target = target;
    this.#expected = expected;
    this.#progress = progress;
    this.#options = options;
    this.#size = expected.size;
  }

  /** Takes up what is there from an earlier download. */
  async resume(): Promise<void> {
    this.#progress.begin(this.#size);
    this.#progress.download();
    // Without its length or hash nobody knows whether the pieces fit together.
    const { size, hash } = this.#expected;
    const usable = this.#target.size <= (size ?? (hash ? Infinity : 0));
    if (!usable) return await this.restart();
    if (this.#target.size === 0) return;
    try {
      for await (const chunk of this.#target.chunks()) {
        this.#options.signal?.throwIfAborted();
        this.#hasher.update(chunk);
      }
      this.#progress.set(this.#target.size);
    } catch {
      this.#options.signal?.throwIfAborted();
      await this.restart(); // the cache cannot read what it wrote
    }
  }

  /** Begins again with nothing. */
  async restart(): Promise<void> {
    await this.#target.restart();
    this.#hasher = createSha256();
    this.#progress.set(0);
  }

  /** Downloads what is missing. */
  async complete(): Promise<void> {
    const retries = new Retries(this.#options);
    let furthest = this.#target.size;
    while (this.#size === undefined || this.#target.size < this.#size) {
      const response = await this.#request();
      try {
        for await (const chunk of bodyOf(response, this.#options)) await this.#take(chunk);
        if (this.#size === undefined || this.#target.size >= this.#size) return;
        throw new Error("the connection was closed early");
      } catch (error) {
        this.#options.signal?.throwIfAborted();
        if (error instanceof FinalError) throw error.cause;
        if (this.#target.size > furthest) retries.came(this.#target.size - furthest);
        furthest = Math.max(furthest, this.#target.size);
        if (!await retries.next(`${this.#url.host}: ${messageOf(error)}`)) {
          throw new Error(`Cannot download ${describeUrl(this.#url)}: ${messageOf(error)}`, {
            cause: error,
          });
        }
      }
    }
  }

  /** What is wrong with the file that came, if anything is. */
  async problem(): Promise<string | undefined> {
    const { size, hash } = this.#expected;
    if (size !== undefined && this.#target.size !== size) {
      return `${this.#target.size} bytes came, expected ${size}`;
    }
    this.#sha256 = this.#hasher.digest();
    if (hash === undefined) return undefined;
    const hex = hash.algorithm === "sha256" ? this.#sha256 : await this.#hashAgain(hash.algorithm);
    if (hex === hash.hex) return undefined;
    return `it has the ${describeHash({ ...hash, hex })}, expected ${hash.hex}`;
  }

  /** SHA-256 of all that came, once that has been looked at. */
  sha256(): string {
    return this.#sha256;
  }

  /** Another hash of what came. Git's begins with the length, which need not be known before. */
  async #hashAgain(algorithm: ContentHash["algorithm"]): Promise<string> {
    const hasher = createHasher(algorithm, this.#target.size);
    for await (const chunk of this.#target.chunks()) hasher.update(chunk);
    return hasher.digest();
  }

  async #take(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#target.size + chunk.length > (this.#size ?? Infinity)) {
      const message = `Cannot download ${
        describeUrl(this.#url)
      }: more than ${this.#size} bytes came`;
      throw new FinalError(message, { cause: new Error(message) });
    }
    try {
      await writing(this.#target, () => this.#target.append(chunk));
    } catch (cause) {
      throw new FinalError("not the connection's fault", { cause });
    }
    this.#hasher.update(chunk);
    this.#progress.add(chunk.length);
  }

  /** Asks for what is missing. */
  async #request(): Promise<Response> {
    const headers = new Headers();
    const begin = this.#target.size;
    if (begin > 0) {
      headers.set("range", `bytes=${begin}-`);
      if (this.#expected.validator) headers.set("if-range", this.#expected.validator);
    }
    const response = await request(this.#url, { headers }, this.#options);
    const range = contentRange(response);
    if (response.status === 206 && (range === undefined || range.begin === begin)) {
      this.#size ??= range?.size;
      return response;
    }
    if (begin > 0 && (response.ok || response.status === 416)) {
      await this.restart();
      if (response.status === 416 || response.status === 206) {
        await response.body?.cancel();
        return await this.#request();
      }
    }
    if (!response.ok) {
      await response.body?.cancel();
      if (response.status === 404) throw missingFile(describeUrl(this.#url));
      throw new HttpError(`Cannot download ${describeUrl(this.#url)}`, response);
    }
    this.#size ??= contentLength(response);
    return response;
  }
}

/** Holds an error that would come again, as it has nothing to do with the connection. */
class FinalError extends Error {}
