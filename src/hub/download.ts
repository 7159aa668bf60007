/**
 * Downloading a file into a cache: resumed where it was broken off, and checked when it is complete.
 *
 * @module
 */

import type { Download } from "./cache.ts";
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
import type { FileProgress } from "../files/progress.ts";
import { createSha256, type Hasher } from "./sha256.ts";

/** What is known of a file before it is downloaded. */
export interface ExpectedFile {
  /** Length in bytes. */
  readonly size: number | undefined;
  /** SHA-256 in hexadecimal digits. */
  readonly sha256: string | undefined;
  /** ETag for `If-Range`, if the server that sends the file gave it. */
  readonly validator: string | undefined;
}

/**
 * Downloads a file to the end. What `target` holds already is not downloaded again if the server can
 * give parts. If the connection is lost, the download goes on where it stopped.
 *
 * @throws {HttpError} If the server refuses the file.
 * @throws {MissingFileError} If there is none.
 * @throws {Error} If the connection is lost too often, or what came has another length or SHA-256 than
 * was expected. Then nothing of it is kept.
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
  let problem = task.problem();
  // What was there from another time may have been damaged: once more, from the beginning.
  if (problem !== undefined && resumed) {
    await task.restart();
    await task.complete();
    problem = task.problem();
  }
  if (problem !== undefined) {
    await target.restart();
    throw new Error(`Cannot download ${describeUrl(url)}: ${problem}`);
  }
  await target.finish();
  progress.done();
}

class DownloadTask {
  readonly #url: URL;
  readonly #target: Download;
  readonly #expected: ExpectedFile;
  readonly #progress: FileProgress;
  readonly #options: HttpOptions;
  #hasher: Hasher | undefined;
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
    if (expected.sha256 !== undefined) this.#hasher = createSha256();
  }

  /** Takes up what is there from an earlier download. */
  async resume(): Promise<void> {
    this.#progress.begin(this.#size);
    this.#progress.download();
    // Without its length or hash nobody knows whether the pieces fit together.
    const { size, sha256 } = this.#expected;
    const usable = this.#target.size <= (size ?? (sha256 ? Infinity : 0));
    if (!usable) return await this.restart();
    if (this.#target.size === 0) return;
    try {
      for await (const chunk of this.#target.chunks()) {
        this.#options.signal?.throwIfAborted();
        this.#hasher?.update(chunk);
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
    if (this.#hasher) this.#hasher = createSha256();
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
        if (this.#target.size > furthest) retries.reset();
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
  problem(): string | undefined {
    const { size, sha256 } = this.#expected;
    if (size !== undefined && this.#target.size !== size) {
      return `${this.#target.size} bytes came, expected ${size}`;
    }
    const hash = this.#hasher?.digest();
    return hash === sha256 ? undefined : `its SHA-256 is ${hash}, expected ${sha256}`;
  }

  async #take(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#target.size + chunk.length > (this.#size ?? Infinity)) {
      const message = `Cannot download ${
        describeUrl(this.#url)
      }: more than ${this.#size} bytes came`;
      throw new FinalError(message, { cause: new Error(message) });
    }
    try {
      await this.#target.append(chunk);
    } catch (cause) {
      throw new FinalError("the cache cannot be written", { cause });
    }
    this.#hasher?.update(chunk);
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
