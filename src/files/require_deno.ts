/**
 * Whether there is a file system.
 *
 * @module
 */

/**
 * Throws where there is no file system.
 *
 * @throws {TypeError} If this is not Deno.
 */
export function requireDeno(what: string): void {
  if (typeof Deno === "undefined") {
    throw new TypeError(`Cannot ${what}: files can only be used in Deno, give an http(s) URL`);
  }
}
