/**
 * Files that are not what their names say: what stands in the place of a file that was not fetched.
 *
 * @module
 */

/** As many of the first bytes of a file as tell what it is. */
export const CONTENT_BYTES = 64;

/**
 * Refuses a file that begins with something else than a model's file: the pointer that Git leaves where
 * LFS is not installed, or the page with which a server answers.
 *
 * @throws {SyntaxError} If so; it says what the file is.
 */
export function checkContent(bytes: Uint8Array, description: string): void {
  const beginning = new TextDecoder().decode(bytes.subarray(0, CONTENT_BYTES));
  const reason = beginning.startsWith("version https://git-lfs")
    ? "a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    : isPage(beginning)
    ? "a web page, not the file: the server may not have it, or ask for a login"
    : undefined;
  if (reason) throw new SyntaxError(`Cannot read ${description}: it is ${reason}`);
}

/** Whether a text that begins so is a page of HTML or XML. */
export function isPage(beginning: string): boolean {
  return /^\s*<(!doctype|!--|html|head|\?xml)/i.test(beginning);
}
