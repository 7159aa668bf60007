/**
 * The files of a folder over HTTP, whole or in part: what a page needs to draw by itself.
 *
 * @module
 */

import { MissingFileError } from "../files/paths.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import { PAGE_HEADERS } from "./page.ts";
import { RequestError } from "./request_error.ts";

/** Bytes that are read at a time: so few that slow clients read them before they count as idle. */
const PIECE_BYTES = 2 ** 17;

/** Media types by the ends of names. Files of other kinds are not given. */
const TYPES: Readonly<Record<string, string>> = {
  bin: "application/octet-stream",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  safetensors: "application/octet-stream",
  txt: "text/plain; charset=utf-8",
};

/** Part of a file. */
interface Part {
  readonly begin: number;
  /** The byte after it. */
  readonly end: number;
}

/** Gives the files of a folder. */
export class FolderFiles {
  readonly #folder: ModelFolder;
  readonly #maxIdleSeconds: number;
  /** Tells apart what servers have given at different times. */
  readonly #age: string = Date.now().toString(36);

  /**
   * @param folder Where they lie.
   * @param maxIdleSeconds Seconds that a client may leave a part of a file unread, before it is closed.
   */
  constructor(folder: ModelFolder, maxIdleSeconds: number) {
    this.#folder = folder;
    this.#maxIdleSeconds = maxIdleSeconds;
  }

  /**
   * Answers a GET or HEAD with a file or the part of it that is asked for.
   *
   * @param path Path below the folder.
   * @throws {RequestError} If there is no such file.
   */
  async answer(path: string, request: Request): Promise<Response> {
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)];
    // No path leads out of the folder, or to what is hidden.
    const isPlain = /^\w[\w.-]*(\/\w[\w.-]*)*$/.test(path);
    if (type === undefined || !isPlain) throw missing();
    const file = await this.#open(path);
    const etag = `"${this.#age}-${file.size}"`;
    const headers = { ...PAGE_HEADERS, "content-type": type, "accept-ranges": "bytes", etag };
    const withoutBody = async (status: number, more: Record<string, string> = {}) => {
      await file[Symbol.asyncDispose]();
      return new Response(null, { status, headers: { ...headers, ...more } });
    };
    if (request.headers.get("if-none-match") === etag) return await withoutBody(304);
    const part = partOf(request, etag, file.size);
    if (part === undefined) {
      return await withoutBody(416, { "content-range": `bytes */${file.size}` });
    }
    const { begin, end } = part;
    const isWhole = begin === 0 && end === file.size;
    const more = {
      "content-length": `${end - begin}`,
      ...(!isWhole && { "content-range": `bytes ${begin}-${end - 1}/${file.size}` }),
    };
    if (request.method === "HEAD") return await withoutBody(isWhole ? 200 : 206, more);
    return new Response(streamOf(file, part, this.#maxIdleSeconds), {
      status: isWhole ? 200 : 206,
      headers: { ...headers, ...more },
    });
  }

  async #open(path: string): Promise<FileSource> {
    try {
      return await this.#folder.open(path);
    } catch (error) {
      throw error instanceof MissingFileError ? missing() : error;
    }
  }
}

function missing(): RequestError {
  return new RequestError(404, "There is nothing at this path");
}

/** The part that is asked for; undefined if there is no such part. Of several the whole is given. */
function partOf(request: Request, etag: string, size: number): Part | undefined {
  const whole = { begin: 0, end: size };
  const [, first, last] =
    /^bytes=(\d{1,15})-(\d{0,15})$/.exec(request.headers.get("range") ?? "") ??
      [];
  const condition = request.headers.get("if-range");
  if (first === undefined || (condition !== null && condition !== etag)) return whole;
  const begin = Number(first);
  const end = Math.min(size, last ? Number(last) + 1 : size);
  return begin < end ? { begin, end } : undefined;
}

/** Reads as fast as the client does, and closes the file, also when the client reads no more. */
function streamOf(
  file: FileSource,
  { begin, end }: Part,
  maxIdleSeconds: number,
): ReadableStream<Uint8Array> {
  let offset = begin;
  let idle: ReturnType<typeof setTimeout> | undefined;
  const close = () => {
    clearTimeout(idle);
    return file[Symbol.asyncDispose]();
  };
  return new ReadableStream({
    async pull(controller) {
      clearTimeout(idle);
      try {
        const bytes = await file.read(offset, Math.min(PIECE_BYTES, end - offset));
        offset += bytes.length;
        if (bytes.length > 0) controller.enqueue(bytes);
        if (offset === end) controller.close();
      } catch (error) {
        offset = end;
        controller.error(error);
      }
      if (offset === end) return await close();
      idle = setTimeout(() => {
        controller.error(new DOMException("The file was not read", "TimeoutError"));
        close();
      }, maxIdleSeconds * 1000);
    },
    cancel: close,
  }, { highWaterMark: 0 });
}
