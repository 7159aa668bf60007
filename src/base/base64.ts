/**
 * Base64, in every runtime.
 *
 * @module
 */

const ALPHABET = new TextEncoder().encode(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
);

/** The code of `=`, which fills the last four characters up. */
const PADDING = 61;

/**
 * The bytes that a text stands for.
 *
 * @throws {DOMException} If it is not base64.
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  // A loop, which for megabytes is many times as fast as `Uint8Array.from`.
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** The text that stands for bytes. By a table, which for megabytes is many times as fast as `btoa`. */
export function encodeBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(4 * Math.ceil(bytes.length / 3)).fill(PADDING);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const rest = bytes.length - from;
    const bits = bytes[from]! << 16 | (bytes[from + 1] ?? 0) << 8 | (bytes[from + 2] ?? 0);
    codes[to] = ALPHABET[bits >> 18]!;
    codes[to + 1] = ALPHABET[bits >> 12 & 63]!;
    if (rest > 1) codes[to + 2] = ALPHABET[bits >> 6 & 63]!;
    if (rest > 2) codes[to + 3] = ALPHABET[bits & 63]!;
  }
  return new TextDecoder().decode(codes);
}
