/**
 * A file behind a URL.
 *
 * @module
 */

import { readBlocks } from "./blocks.ts";
import { CONTENT_BYTES, isPage } from "./content.ts";
import {
  bodyOf,
  contentLength,
  contentRange,
  HttpError,
  type HttpFileOptions,
  type HttpOptions,
  messageOf,
  request,
  Retries,
} from "./http.ts";
import { memoryFile } from "./memory_folder.ts";
import { checkRange, describeUrl, missingFile, type MissingFileError } from "./paths.ts";
import type { FileProgress } from "./progress.ts";
import type { FileSource } from "./source.ts";

/** Unit of range requests: big enough that small arrays do not cost a request each. */
const BLOCK_BYTES = 8 * 2 ** 20;

/** Blocks kept for later reads. */
const MAX_BLOCKS = 4;

/** Longest file that is held in memory because its server cannot give parts. */
const MAX_WHOLE_BYTES = 8 * 2 ** 30;

/** Statuses of files that are not there. */
const MISSING = new Set([404, 410]);

/** Types of what may be a page for people; some servers give none else. */
const TEXT = /^(text\/|application\/xhtml)/i;

/**
 * Whether there is a file behind a URL. A page in its place, with which some servers answer whatever they
 * do not know, is none.
 *
 * @throws {HttpError} If the server cannot say.
 * @throws {Error} If the server cannot be reached.
 */
export async function isThere(url: URL, options: HttpOptions): Promise<boolean> {
  const response = await request(url, { method: "HEAD" }, options);
  await response.body?.cancel();
  if (MISSING.has(response.status)) return false;
  if (response.status === 403) throw new HttpError(`Cannot look for ${describeUrl(url)}`, response);
  // Not all servers answer HEAD; and of a text it has to be seen what it is.
  if (response.ok && !TEXT.test(typeOf(response))) return true;
  return await isThereByRange(url, options);
}

/** Whether there is a file and no page, by its beginning. */
async function isThereByRange(url: URL, options: HttpOptions): Promise<boolean> {
  const headers = { range: `bytes=0-${CONTENT_BYTES - 1}` };
  let response = await request(url, { headers }, options);
  if (response.ok && isEncoded(response)) {
    await response.body?.cancel();
    response = await request(url, {}, options);
  }
  if (response.ok) return !await isPageIn(response, options);
  await response.body?.cancel();
  if (response.status === 416) return true;
  if (MISSING.has(response.status)) return false;
  throw new HttpError(`Cannot look for ${describeUrl(url)}`, response);
}

function typeOf({ headers }: Response): string {
  return headers.get("content-type") ?? "";
}

/** Whether an answer is a page for people, by its first bytes, after which it is not read on. */
async function isPageIn(response: Response, options: HttpOptions): Promise<boolean> {
  for await (const chunk of bodyOf(response, options)) {
    return isPage(new TextDecoder().decode(chunk.subarray(0, CONTENT_BYTES)));
  }
  return false;
}

/**
 * Whether an answer is compressed. Then ranges are of the compressed bytes, which `fetch` leaves as they
 * are; without a range it unpacks them.
 */
function isEncoded({ headers }: Response): boolean {
  return (headers.get("content-encoding") ?? "identity") !== "identity";
}

/**
 * Opens a file behind a URL. It is read by range requests, or held whole in memory if the server does
 * not allow them, or has it compressed.
 *
 * @throws {MissingFileError} If there is none, or a page for people in its place.
 * @throws {HttpError} If the server refuses it.
 * @throws {Error} If the server cannot be reached.
 */
export async function openHttpFile(
  url: URL,
  progress: FileProgress,
  options: HttpFileOptions,
): Promise<FileSource> {
  const headers = { range: `bytes=0-${BLOCK_BYTES - 1}` };
  let response = await request(url, { headers }, options);
  const type = typeOf(response);
  if (response.ok && /html/i.test(type)) {
    await response.body?.cancel();
    if (!await isThereByRange(url, options)) throw pageInstead(url);
    response = await request(url, { headers }, options);
  }
  const file = await openAnswer(url, response, progress, options);
  // Some servers have one type for all texts. What is read here is kept for whoever reads the file.
  if (!TEXT.test(type)) return file;
  const beginning = await file.read(0, Math.min(file.size, CONTENT_BYTES));
  if (!isPage(new TextDecoder().decode(beginning))) return file;
  await file[Symbol.asyncDispose]();
  throw pageInstead(url);
}

/** The file that the answer to a request for its first block begins. */
async function openAnswer(
  url: URL,
  response: Response,
  progress: FileProgress,
  options: HttpFileOptions,
): Promise<FileSource> {
  if (response.ok && isEncoded(response)) {
    await response.body?.cancel();
    return await openWhole(url, await request(url, {}, options), progress, options);
  }
  if (response.status === 206) {
    const range = contentRange(response);
    if (range?.begin === 0) return new RangedFile(url, range.size, response, progress, options);
    // Not visible to scripts of other origins unless the server says so.
    await response.body?.cancel();
    return await openWhole(url, await request(url, {}, options), progress, options);
  }
  if (response.status === 416 && response.headers.get("content-range") === "bytes */0") {
    await response.body?.cancel();
    progress.begin(0);
    progress.done();
    return memoryFile(describeUrl(url), new Uint8Array());
  }
  return await openWhole(url, response, progress, options);
}

/** The error for a file in whose place there is a page for people. */
function pageInstead(url: URL): MissingFileError {
  return missingFile(`${describeUrl(url)}: the server answered with a web page`);
}

/** Throws unless the answer holds a file. */
async function checkFound(url: URL, response: Response): Promise<void> {
  if (response.ok) return;
  await response.body?.cancel();
  if (MISSING.has(response.status)) throw missingFile(describeUrl(url));
  throw new HttpError(`Cannot read ${describeUrl(url)}`, response);
}

async function openWhole(
  url: URL,
  response: Response,
  progress: FileProgress,
  options: HttpFileOptions,
): Promise<FileSource> {
  const content = await downloadToMemory(url, response, progress, options);
  return new WholeFile(url, content, progress, options);
}

/** A file that was downloaded, in the pieces in which it came. */
interface Content {
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  readonly size: number;
  /** Its ETag or the time of its last change, if the server gives one. */
  readonly version: string | null;
}

async function downloadToMemory(
  url: URL,
  response: Response,
  progress: FileProgress,
  options: HttpFileOptions,
): Promise<Content> {
  const retries = new Retries(options);
  while (true) {
    await checkFound(url, response);
    try {
      const chunks = await chunksOf(url, response, progress, options);
      const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const { headers } = response;
      return { chunks, size, version: headers.get("etag") ?? headers.get("last-modified") };
    } catch (error) {
      if (error instanceof RangeError || !await retries.next(messageOf(error))) throw error;
      response = await request(url, {}, options);
    }
  }
}

async function chunksOf(
  url: URL,
  response: Response,
  progress: FileProgress,
  options: HttpFileOptions,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const total = contentLength(response);
  const { maxBytes = MAX_WHOLE_BYTES } = options;
  const limit = Math.min(total ?? maxBytes, maxBytes);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  progress.begin(total);
  progress.download();
  for await (const chunk of bodyOf(response, options)) {
    chunks.push(chunk);
    loaded += chunk.length;
    if (loaded > limit) {
      throw new RangeError(`Cannot read ${describeUrl(url)}: more than ${limit} bytes came`);
    }
    progress.add(chunk.length);
  }
  if (total !== undefined && loaded < total) {
    throw new Error(`Cannot read ${describeUrl(url)}: ${loaded} of ${total} bytes came`);
  }
  progress.done();
  return chunks;
}

/** A file that is held whole in memory, until it is released. */
class WholeFile implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #url: URL;
  readonly #version: string | null;
  readonly #progress: FileProgress;
  readonly #options: HttpFileOptions;
  #content: Promise<Content> | undefined;

  constructor(url: URL, content: Content, progress: FileProgress, options: HttpFileOptions) {
    this.description = describeUrl(url);
    this.size = content.size;
    this.#url = url;
    this.#version = content.version;
    this.#progress = progress;
    this.#options = options;
    this.#content = Promise.resolve(content);
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.description, this.size, offset, length);
    this.#content ??= this.#fetchAgain();
    const { chunks } = await this.#content;
    const bytes = new Uint8Array(length);
    let begin = 0;
    for (const chunk of chunks) {
      const part = chunk.subarray(
        Math.max(0, offset - begin),
        Math.max(0, offset + length - begin),
      );
      if (part.length > 0) bytes.set(part, Math.max(0, begin - offset));
      begin += chunk.length;
      if (begin >= offset + length) break;
    }
    return bytes;
  }

  release(): void {
    this.#content = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  async #fetchAgain(): Promise<Content> {
    try {
      const response = await request(this.#url, {}, this.#options);
      const content = await downloadToMemory(this.#url, response, this.#progress, this.#options);
      if (content.size === this.size && content.version === this.#version) return content;
      throw changed(this.description);
    } catch (error) {
      this.#content = undefined; // the next read tries again
      throw error;
    }
  }
}

/** The error for a file that is not what it was when it was opened. */
function changed(description: string): Error {
  return new Error(`Cannot read ${description}: it has changed meanwhile`);
}

/** A file that is read by range requests, small reads by way of blocks that are kept for a while. */
class RangedFile implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #url: URL;
  readonly #options: HttpOptions;
  readonly #progress: FileProgress;
  readonly #etag: string | undefined;
  readonly #blocks = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();

  /** @param first The answer to the request of the first block. */
  constructor(
    url: URL,
    size: number,
    first: Response,
    progress: FileProgress,
    options: HttpOptions,
  ) {
    this.description = describeUrl(url);
    this.size = size;
    this.#url = url;
    this.#options = options;
    this.#progress = progress;
    const etag = first.headers.get("etag");
    this.#etag = etag?.startsWith('"') ? etag : undefined;
    progress.begin(size);
    progress.download();
    this.#keep(0, this.#fetch(0, Math.min(size, BLOCK_BYTES), first));
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.description, this.size, offset, length);
    if (length > BLOCK_BYTES) return await this.#fetch(offset, offset + length);
    return await readBlocks(offset, length, BLOCK_BYTES, (index) => this.#block(index));
  }

  release(): void {
    this.#blocks.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    this.#progress.done();
    return Promise.resolve();
  }

  #block(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const begin = index * BLOCK_BYTES;
    const block = this.#blocks.get(index) ??
      this.#fetch(begin, Math.min(this.size, begin + BLOCK_BYTES));
    this.#keep(index, block);
    return block;
  }

  #keep(index: number, block: Promise<Uint8Array<ArrayBuffer>>): void {
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    block.catch(() => this.#blocks.delete(index));
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_BLOCKS) break;
      this.#blocks.delete(oldest);
    }
  }

  /** Downloads a range; goes on where it stopped if the connection is lost. */
  async #fetch(begin: number, end: number, first?: Response): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - begin);
    const retries = new Retries(this.#options);
    let done = 0;
    let response = first;
    while (done < bytes.length) {
      response ??= await this.#request(begin + done, end);
      try {
        for await (const chunk of bodyOf(response, this.#options)) {
          bytes.set(chunk.subarray(0, bytes.length - done), done);
          done = Math.min(bytes.length, done + chunk.length);
          this.#progress.add(chunk.length);
          retries.came(chunk.length);
        }
        if (done < bytes.length) throw new Error("the connection was closed early");
      } catch (cause) {
        if (!await retries.next(messageOf(cause))) {
          throw new Error(`Cannot read ${this.description}: the connection was lost`, { cause });
        }
      }
      response = undefined;
    }
    return bytes;
  }

  async #request(begin: number, end: number): Promise<Response> {
    const headers = new Headers({ range: `bytes=${begin}-${end - 1}` });
    if (this.#etag !== undefined) headers.set("if-range", this.#etag);
    const response = await request(this.#url, { headers }, this.#options);
    await checkFound(this.#url, response);
    const range = contentRange(response);
    const same = response.status === 206 &&
      (range === undefined || range.begin === begin && range.size === this.size);
    if (!same) {
      await response.body?.cancel();
      throw changed(this.description);
    }
    return response;
  }
}
