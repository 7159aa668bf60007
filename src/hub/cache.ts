/**
 * What keeps downloaded files: the interface of caches.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";

/** A file of a model on the hub, or behind a URL. */
export interface CachedFile {
  /** Id of the model: `owner/name`. */
  readonly repository: string;
  /** Commit in which the file is; undefined if the hub does not report it. */
  readonly commit: string | undefined;
  /** Path in the model. */
  readonly path: string;
  /**
   * Name of the content: files of the same name are the same. It is their SHA-256 or git's SHA-1, if the hub
   * tells that; undefined if it is not known yet.
   */
  readonly etag: string | undefined;
}

/** A file that is being downloaded into a cache, and stays there if the download is broken off. */
export interface Download extends AsyncDisposable {
  /** Number of bytes that are there. */
  readonly size: number;
  /** The bytes that are there. */
  chunks(): AsyncIterable<Uint8Array>;
  /**
   * Adds bytes.
   *
   * @throws {TakenOverError} If another process goes on with the download, as this one paused.
   */
  append(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Throws all bytes away. */
  restart(): Promise<void>;
  /**
   * Makes the file one that {@linkcode HubCache.find} finds. To be called once, at last.
   *
   * @param sha256 SHA-256 of all bytes, in hexadecimal digits, for later checks.
   * @throws {TakenOverError} If another process goes on with the download, as this one paused.
   */
  finish(sha256: string): Promise<void>;
}

/** A cache of files. Several processes may use one at the same time. */
export interface HubCache {
  /**
   * Opens a file if it is there as a whole.
   *
   * @throws {DamagedFileError} If it is there, but not what was once downloaded. Reading may throw that, too.
   */
  find(file: CachedFile, signal?: AbortSignal): Promise<FileSource | undefined>;
  /**
   * Begins the download of a file, or resumes one that was broken off. May wait while another process
   * downloads the same file; if it is there then, the result is undefined.
   */
  download(
    file: CachedFile & { readonly etag: string },
    signal?: AbortSignal,
  ): Promise<Download | undefined>;
  /** Whether the hub has said that there is no such file in the commit. */
  isAbsent(file: CachedFile): Promise<boolean>;
  /** Remembers that there is no such file in the commit. */
  setAbsent(file: CachedFile): Promise<void>;
  /**
   * What is known of a whole commit without the hub: the paths of its files if there is a list of them;
   * `"fetched"` if there is none, but the commit was fetched as a model; undefined if neither. What is
   * not in the cache then is not in the commit, as far as can be seen. Default: nothing is known.
   */
  filesOf?(
    repository: string,
    commit: string,
  ): Promise<ReadonlySet<string> | "fetched" | undefined>;
  /** The commit that a revision was when the hub was asked last. */
  commitOf(repository: string, revision: string): Promise<string | undefined>;
  /** Remembers the commit that a revision is. */
  setCommit(repository: string, revision: string, commit: string): Promise<void>;
}

/**
 * When cached files are compared with their hashes: `"changed"` whenever a file is new, or other than at the
 * last check by its length or times; `"always"`; or `"never"`.
 */
export type VerifyFiles = "always" | "changed" | "never";

/** A file of a cache is not what was once downloaded. */
export class DamagedFileError extends Error {
  /** Always `"DamagedFileError"`. */
  override readonly name = "DamagedFileError";
}

/** Another process goes on with a download, as this one had paused. */
export class TakenOverError extends Error {
  /** Always `"TakenOverError"`. */
  override readonly name = "TakenOverError";
}
