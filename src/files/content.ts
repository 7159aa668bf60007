/**
 * Files that are not what their names say: what stands in the place of a file that was not fetched.
 *
 * @module
 */

/** As many of the first bytes of a file as tell what it is. */
export const CONTENT_BYTES = 64;

/**
 * What a file is that has come in the place of a model's, by its beginning: the pointer that Git leaves
 * where LFS is not installed, or the page with which a server answers. Undefined if it is neither.
 */
export function foreignContent(beginning: string): string | undefined {
  if (beginning.startsWith("version https://git-lfs")) {
    return "it is a pointer of Git LFS, not the file itself: fetch it with git lfs pull";
  }
  return /^\uFEFF?\s*<(!doctype|!--|html|head|\?xml)/i.test(beginning)
    ? "it is a web page, not the file: the server may not have it, or ask for a login"
    : undefined;
}

/**
 * Refuses a file that begins with something else than a model's file.
 *
 * @throws {SyntaxError} If so; it says what the file is.
 */
export function checkContent(beginning: Uint8Array, description: string): void {
  const reason = foreignContent(new TextDecoder().decode(beginning.subarray(0, CONTENT_BYTES)));
  if (reason !== undefined) throw new SyntaxError(`Cannot read ${description}: ${reason}`);
}
