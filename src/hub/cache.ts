/**
 * What keeps files of the hub once they have been downloaded: the interface of caches.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";

/** A file of a model on the hub. */
export interface CachedFile {
  /** Id of the model: `owner/name`. */
  readonly repository: string;
  /** Commit in which the file is; undefined if the hub does not report it. */
  readonly commit: string | undefined;
  /** Path in the model. */
  readonly path: string;
  /** Name of the content: files of the same ETag are the same; undefined if it is not known yet. */
  readonly etag: string | undefined;
}

/** A file that is being downloaded into a cache, and stays there if the download is broken off. */
export interface Download extends AsyncDisposable {
  /** Number of bytes that are there. */
  readonly size: number;
  /** The bytes that are there. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Adds bytes. */
  append(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Throws all bytes away. */
  restart(): Promise<void>;
  /** Makes the file one that {@linkcode HubCache.find} finds. To be called once, at last. */
  finish(): Promise<void>;
}

/** A cache of files of the hub. */
export interface HubCache {
  /** Opens a file if it is there as a whole. */
  find(file: CachedFile): Promise<FileSource | undefined>;
  /**
   * Begins the download of a file, or resumes one that was broken off. Waits while another
   * process downloads the same file; then the file may be there, and the result is undefined.
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
