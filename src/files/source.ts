/**
 * Where the bytes of a model come from: the interfaces of files and folders.
 *
 * @module
 */

/** A file that can be read in parts. */
export interface FileSource extends AsyncDisposable {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes from `offset`.
   *
   * @throws {RangeError} If they are not all inside the file.
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Lets go of bytes that are kept in memory only to make reading faster. The file stays open: a later
   * read fetches them again.
   */
  release(): void;
}

/** A folder of a model: on disk, behind a URL, on the hub. */
export interface ModelFolder {
  /** What it is, for error messages: a path or URL. */
  readonly description: string;
  /** Whether the file is there. */
  has(path: string): Promise<boolean>;
  /** Reads a whole small file, such as a config. */
  readText(path: string): Promise<string>;
  /**
   * Opens a file for reading in parts.
   *
   * @param maxBytes Most bytes that are fetched at once where the file cannot be read in parts.
   */
  open(path: string, maxBytes?: number): Promise<FileSource>;
  /** The folder below this one, such as `transformer`. */
  folder(path: string): ModelFolder;
}
