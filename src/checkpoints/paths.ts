/**
 * Paths inside model folders, and the errors of all kinds of folders.
 *
 * @module
 */

/** A file of a model is not there. */
export class MissingFileError extends Error {
  override readonly name = "MissingFileError";
}

/** The error for a file that is not there. */
export function missingFile(description: string, cause?: unknown): MissingFileError {
  return new MissingFileError(`Cannot find ${description}`, { cause });
}

/**
 * Checks a path inside a folder: names parted by `/`, none of which leads out of it. Paths may come
 * from files that are not trusted.
 *
 * @throws {RangeError} If it is absolute, empty or leads out of the folder.
 */
export function checkPath(path: string): string {
  const sound = path.split("/").every((name) =>
    // deno-lint-ignore no-control-regex -- that is what is refused
    name !== "" && name !== "." && name !== ".." && !/[\\:\x00-\x1f]/.test(name)
  );
  if (!sound) {
    throw new RangeError(`Expected a path inside the folder, got ${JSON.stringify(path)}`);
  }
  return path;
}

/** One path below another; an empty one is left out. */
export function joinPath(folder: string, path: string): string {
  if (folder === "" || path === "") return folder + path;
  return folder.endsWith("/") ? folder + path : `${folder}/${path}`;
}

/**
 * Checks that a range lies inside a file.
 *
 * @throws {RangeError} If it does not.
 */
export function checkRange(
  description: string,
  size: number,
  offset: number,
  length: number,
): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
    offset >= 0 && length >= 0 && offset + length <= size;
  if (!sound) {
    throw new RangeError(
      `Cannot read ${length} bytes at ${offset} of ${description}: it is ${size} bytes long`,
    );
  }
}
