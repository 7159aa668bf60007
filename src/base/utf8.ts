/**
 * Text of any length, decoded in parts.
 *
 * @module
 */

import type { Steps } from "./pauses.ts";

/** Bytes that are decoded at once. */
const PART = 2 ** 20;

/**
 * The text of bytes of UTF-8, without the mark of the order of bytes that it may begin with.
 *
 * @throws {TypeError} If they are not UTF-8.
 */
export function* decodeUtf8(bytes: Uint8Array): Steps<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  for (let i = 0; i < bytes.length; i += PART) {
    text += decoder.decode(bytes.subarray(i, i + PART), { stream: true });
    yield;
  }
  return text + decoder.decode();
}
