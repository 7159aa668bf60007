/**
 * Reading the bodies of requests, within limits.
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

/** Memory that is taken at first. */
const FIRST_BYTES = 2 ** 14;

/**
 * Reads the bytes of a body. Memory is taken for what has come, whatever the headers say.
 *
 * @throws {RequestError} If it is too long, breaks off, or does not come.
 */
export async function readBody(
  request: Request,
  { maxBodyBytes, maxIdleSeconds }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new RequestError(413, `The body is longer than ${maxBodyBytes} bytes`);
  if (Number(request.headers.get("content-length")) > maxBodyBytes) throw tooLarge();
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  let bytes = new Uint8Array(Math.min(FIRST_BYTES, maxBodyBytes));
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await within(maxIdleSeconds, reader.read());
      if (done) return bytes.subarray(0, length);
      const needed = length + value.length;
      if (needed > maxBodyBytes) throw tooLarge();
      if (needed > bytes.length) {
        bytes = enlarged(bytes, Math.max(needed, Math.min(2 * bytes.length, maxBodyBytes)));
      }
      bytes.set(value, length);
      length = needed;
    }
  } catch (error) {
    // Nobody waits for the rest, nor for what comes of leaving it.
    reader.cancel().catch(() => {});
    if (error instanceof RequestError) throw error;
    throw new RequestError(400, "The body broke off");
  }
}

function enlarged(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
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
