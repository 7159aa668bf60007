/**
 * Base64 by what every runtime has.
 *
 * @module
 */

/** Bytes that are turned into characters at once. */
const CHUNK = 8192;

/** The bytes that a text stands for. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The text that stands for bytes. */
export function encodeBase64(bytes: Uint8Array): string {
  let characters = "";
  for (let i = 0; i < bytes.length; i += CHUNK) {
    characters += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  }
  return btoa(characters);
}
