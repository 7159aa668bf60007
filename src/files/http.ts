/**
 * Requests that are tried again when it helps, and bodies that are read with care.
 *
 * @module
 */

import { describeUrl } from "./paths.ts";
import { RedirectError } from "./redirects.ts";
import type { OnProgress } from "./progress.ts";

/** How to talk to servers. */
export interface HttpOptions {
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** Stops everything. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How often a request is tried again after a failure that may pass; while a file comes, the count begins again
   * after each 256 KiB. Default 4.
   */
  readonly retries?: number | undefined;
  /** Milliseconds before the first new try; doubled each time. Default 500. */
  readonly retryDelay?: number | undefined;
  /** Milliseconds without a single byte after which a connection counts as dropped. Default 60 000. */
  readonly stallTimeout?: number | undefined;
  /** Receives the events of every file, and a notice when something is tried again. */
  readonly onProgress?: OnProgress | undefined;
}

/** How to open a file on a server. */
export interface HttpFileOptions extends HttpOptions {
  /** Most bytes that are held in memory if the server cannot give parts. Default 8 GiB. */
  readonly maxBytes?: number | undefined;
}

/** A server gave an answer that cannot be used. */
export class HttpError extends Error {
  /** Always `"HttpError"`. */
  override readonly name = "HttpError";
  /** Status code of the answer. */
  readonly status: number;

  /**
   * Makes the error for an answer.
   *
   * @param what What could not be done, such as `Cannot read https://…`.
   * @param response The answer.
   * @param advice What the user may do about it.
   */
  constructor(what: string, response: Response, advice = "") {
    const status = `${response.status} ${response.statusText}`.trim();
    super(`${what}: the server answered ${status}${advice && `; ${advice}`}`);
    this.status = response.status;
  }
}

const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);
const LONGEST_BACKOFF = 30_000;
const LONGEST_RETRY_AFTER = 300_000;

/**
 * Bytes after which what was lost before counts no more. So tries are bounded by the length of a file, however
 * few bytes a connection gives before it breaks.
 */
const FORGIVEN_BYTES = 2 ** 18;

/** Counts failures in a row, and waits longer after each. */
export class Retries {
  readonly #options: HttpOptions;
  #failures = 0;
  /** Bytes that have come since the last failure was forgotten. */
  #bytes = 0;

  /** Begins to count. */
  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** Bytes have come that were not there before: begins to count again after many of them. */
  came(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < FORGIVEN_BYTES) return;
    this.#bytes = 0;
    this.#failures = 0;
  }

  /**
   * Waits before a new try, and says so.
   *
   * @param why What went wrong.
   * @param retryAfter Milliseconds that the server asks to wait.
   * @returns Whether there is another try.
   */
  async next(why: string, retryAfter?: number): Promise<boolean> {
    const { retries = 4, retryDelay = 500, signal, onProgress } = this.#options;
    signal?.throwIfAborted();
    if (this.#failures >= retries || (retryAfter ?? 0) > LONGEST_RETRY_AFTER) return false;
    const backoff = Math.min(retryDelay * 2 ** this.#failures++, LONGEST_BACKOFF);
    // Clients that failed together should not come back together.
    const wait = retryAfter ?? backoff * (0.5 + Math.random() / 2);
    const seconds = (wait / 1000).toFixed(1);
    onProgress?.({ type: "notice", message: `${why}; trying again in ${seconds} seconds` });
    await delay(wait, signal);
    return true;
  }
}

/**
 * Makes a request, and makes it again after failures that may pass: a lost connection, 429, 5xx.
 * `Retry-After` is honoured up to five minutes.
 *
 * @returns The last answer, whatever its status.
 * @throws {Error} If the server cannot be reached.
 */
export async function request(
  url: URL,
  init: RequestInit,
  options: HttpOptions,
): Promise<Response> {
  const retries = new Retries(options);
  while (true) {
    try {
      const response = await fetchOnce(url, init, options);
      if (!TRANSIENT.has(response.status)) return response;
      const why = `${url.host} answered ${response.status}`;
      if (!await retries.next(why, retryAfter(response))) return response;
      await response.body?.cancel();
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (isPermission(cause)) throw cause;
      const message = messageOf(cause);
      // Where it redirects to is no accident.
      if (cause instanceof RedirectError) {
        throw new RedirectError(`Cannot reach ${describeUrl(url)}: ${message}`, { cause });
      }
      if (!await retries.next(`Cannot reach ${url.host}: ${message}`)) {
        throw new Error(`Cannot reach ${describeUrl(url)}: ${message}`, { cause });
      }
    }
  }
}

async function fetchOnce(url: URL, init: RequestInit, options: HttpOptions): Promise<Response> {
  const { signal, stallTimeout = 60_000, fetch = globalThis.fetch } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(stalled(stallTimeout)), stallTimeout);
  try {
    const signals = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    return await fetch(url, { ...init, signal: signals });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The bytes of an answer as they come.
 *
 * @throws {Error} If the connection is lost, or no byte comes for the time of `stallTimeout`.
 */
export async function* bodyOf(
  response: Response,
  options: HttpOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const { stallTimeout = 60_000, signal } = options;
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    while (true) {
      signal?.throwIfAborted();
      const { done, value } = await withTimeout(reader.read(), stallTimeout);
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: a stalled connection may never answer, and a failed one has nothing to say.
    reader.cancel().catch(() => {});
  }
}

/** The range of a 206 answer, or undefined if it cannot be seen. */
export function contentRange(
  response: Response,
): { begin: number; end: number; size: number } | undefined {
  const header = response.headers.get("content-range");
  const match = header?.match(/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/);
  if (!match) return undefined;
  return { begin: Number(match[1]), end: Number(match[2]) + 1, size: Number(match[3]) };
}

/** Length that an answer announces, if it can be relied upon. */
export function contentLength(response: Response): number | undefined {
  const header = response.headers.get("content-length");
  if (header === null || response.headers.has("content-encoding")) return undefined;
  return /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** Milliseconds that an answer asks to wait, from seconds or a date. */
function retryAfter(response: Response): number | undefined {
  const header = response.headers.get("retry-after");
  if (header === null) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** Waits, but not after the signal has been given. */
export function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(stalled(milliseconds)), milliseconds);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function stalled(milliseconds: number): Error {
  return new Error(`no data came for ${milliseconds / 1000} seconds`);
}

/** Whether Deno refused the request: trying again does not help. */
function isPermission(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
