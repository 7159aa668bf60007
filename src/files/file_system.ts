/**
 * What is used of a file system, in the shape that Deno gives it.
 *
 * @module
 */

/** What is known of a file or folder. */
export interface FileStatus {
  /** Whether it is a file. */
  readonly isFile: boolean;
  /** Whether it is a folder. */
  readonly isDirectory: boolean;
  /** Length in bytes. */
  readonly size: number;
  /** When its content was written last, if that is known. */
  readonly mtime: Date | null;
  /** When it was changed in any way, its name included, if that is known. Programs cannot set this time. */
  readonly ctime?: Date | null;
  /** Number of the file in its file system, if it has one. */
  readonly ino: number | null;
  /** Bits of its permissions, as Unix has them; null where there are none. */
  readonly mode: number | null;
}

/** An open file. It is read from and written to at its position. */
export interface OpenFile extends Disposable {
  /** What is known of it. */
  stat(): Promise<FileStatus>;
  /** Sets the position: `whence` 0 counts from the beginning. */
  seek(offset: number, whence: 0): Promise<number>;
  /** Reads at most as many bytes as there is room for; their number, null at the end. */
  read(bytes: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes; their number. */
  write(bytes: Uint8Array): Promise<number>;
  /** Waits until what was written is on the disk. */
  syncData(): Promise<void>;
  /** Closes it. */
  close(): void;
}

/** How to open a file. Default: for reading. */
export interface OpenMode {
  /** Whether it is read, beside being written to. */
  readonly read?: boolean;
  /** Whether it is written to. */
  readonly write?: boolean;
  /** Whether it is made if it is not there. */
  readonly create?: boolean;
  /** Whether it is made, and must not be there: of several processes one makes it. */
  readonly createNew?: boolean;
  /** Whether it is emptied. */
  readonly truncate?: boolean;
}

/** What a folder holds of one name. */
export interface FolderEntry {
  /** Its name, without the folder. */
  readonly name: string;
  /** Whether it is a file. */
  readonly isFile: boolean;
  /** Whether it is a folder. */
  readonly isDirectory: boolean;
  /** Whether it is a link to something else. */
  readonly isSymlink: boolean;
}

/** The functions that are used of a file system. */
export interface FileSystem {
  /** What is known of a file or folder. */
  stat(path: string): Promise<FileStatus>;
  /** The same of a link itself, if it is one. */
  lstat(path: string): Promise<FileStatus>;
  /** Opens a file. */
  open(path: string, mode?: OpenMode): Promise<OpenFile>;
  /** Makes a link to a path. */
  symlink(target: string, path: string): Promise<void>;
  /** The path that a link leads to. */
  readLink(path: string): Promise<string>;
  /** Renames a file, in place of another one of the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Lists what a folder holds, in any order. */
  readDir(path: string): AsyncIterable<FolderEntry>;
  /** Makes a folder. */
  mkdir(path: string, options?: { readonly recursive?: boolean }): Promise<void>;
  /** Removes a file or an empty folder. */
  remove(path: string): Promise<void>;
  /** Does the same at once, for the end of the process. */
  removeSync(path: string): void;
}

/** Writes all bytes at the position of a file. */
export async function writeAll(file: OpenFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

/** Whether an error of the file system has one of these codes, such as `ENOENT`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error &&
    codes.some((code) => (error as { code?: unknown }).code === code);
}

/**
 * Whether an error is one of the system, which need not name what it is about. A permission that Deno was
 * not given is none: that error names itself.
 */
export function isSystemError(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof TypeError) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return true;
  // In Deno that of a closed file has no code, and some have nothing but their number.
  return error.name === "BadResource" || /\(os error \d+\)$/.test(error.message);
}
