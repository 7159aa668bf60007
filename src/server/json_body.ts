/**
 * The bodies of requests.
 *
 * @module
 */

import { RequestError } from "./request_error.ts";

/** What bodies may be at most. */
export interface BodyLimits {
  /** Bytes of the body. */
  readonly maxBodyBytes: number;
  /** Seconds from one part of it to the next. Default: any. */
  readonly maxIdleSeconds?: number | undefined;
}

/**
 * Reads the body of a request, an object of JSON. An empty one is an object without fields.
 *
 * @throws {RequestError} If it is of another type, damaged, too long, or does not come.
 */
export async function readJsonBody(
  request: Request,
  limits: BodyLimits,
): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new RequestError(415, "The body is of another type, expected application/json");
  }
  const bytes = await readBody(request, limits);
  if (bytes.length === 0) return {};
  let values: unknown;
  try {
    values = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new RequestError(400, "The body is not valid JSON");
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new RequestError(400, "The body is no JSON object");
  }
  return values as Record<string, unknown>;
}

async function readBody(
  request: Request,
  { maxBodyBytes, maxIdleSeconds }: BodyLimits,
): Promise<Uint8Array> {
  const tooLarge = () => new RequestError(413, `The body is longer than ${maxBodyBytes} bytes`);
  if (Number(request.headers.get("content-length")) > maxBodyBytes) throw tooLarge();
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await within(maxIdleSeconds, reader.read());
      if (done) break;
      chunks.push(value);
      length += value.length;
      if (length > maxBodyBytes) throw tooLarge();
    }
  } catch (error) {
    // Nobody waits for the rest, nor for what comes of leaving it.
    reader.cancel().catch(() => {});
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, "The body broke off");
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** What a promise gives, if it does so in time. */
async function within<T>(seconds: number | undefined, promise: Promise<T>): Promise<T> {
  if (seconds === undefined) return await promise;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new RequestError(408, `Nothing of the body came for ${seconds} s`));
  }, seconds * 1000);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
