/**
 * A cache of files of the hub on disk, in the layout of Python's `huggingface_hub`:
 *
 * ```text
 * models--owner--name/
 *   refs/main                 the commit that the branch is
 *   blobs/<etag>              contents, and <etag>.….incomplete while they come
 *   snapshots/<commit>/path   links to the contents
 *   .no_exist/<commit>/path   empty: there is no such file
 *   trees/<commit>.json       all files of the commit, since version 1
 *   .verified/…               what was found when contents were checked, which Python ignores
 * ```
 *
 * Where links cannot be made (on Windows, or with permissions for this folder only) the contents lie in
 * `snapshots` themselves, as they do in Python then.
 *
 * @module
 */

import { refuseType } from "../base/check.ts";
import { parseJson } from "../base/json.ts";
import { inTurns } from "../base/pauses.ts";
import { type FileSystem, hasCode } from "../files/file_system.ts";
import { fileSystem, hasFileSystem } from "../files/find_file_system.ts";
import { checkPath, joinPath } from "../files/paths.ts";
import type { FileSource } from "../files/source.ts";
import {
  type CachedFile,
  DamagedFileError,
  type Download,
  type HubCache,
  type VerifyFiles,
} from "./cache.ts";
import {
  CheckedFiles,
  makeFolderOf,
  openIfThere,
  removeIfThere,
  writeFile,
} from "./checked_files.ts";
import { beginDiskDownload } from "./disk_download.ts";

/** A cache on disk. Needs permission to read and write its folder. */
export class DiskCache implements HubCache {
  readonly #root: string;
  readonly #verify: VerifyFiles;

  /**
   * Uses a folder, which is made when something is written.
   *
   * @param verify When files are compared with their hashes. Default `"changed"`.
   * @throws {TypeError} If there is no file system.
   */
  constructor(root: string, verify: VerifyFiles = "changed") {
    if (!hasFileSystem()) {
      refuseType(
        { task: "use a cache", name: "cache" },
        root,
        "no folder, as there is no file system",
      );
    }
    this.#root = root;
    this.#verify = verify;
  }

  /** Opens a file if it is there as a whole, and what its hash says. */
  async find(file: CachedFile, signal?: AbortSignal): Promise<FileSource | undefined> {
    const checked = await this.#checked(file.repository);
    const snapshot = pathIn("snapshots", file);
    if (snapshot !== undefined) {
      const found = await checked.open(snapshot, file.etag, signal);
      if (found) return found;
    }
    if (file.etag === undefined) return undefined;
    const content = await checked.open(`blobs/${file.etag}`, file.etag, signal);
    if (!content || snapshot === undefined) return content;
    try {
      await this.#putIntoSnapshot(file.repository, file.etag, snapshot);
    } catch {
      return content; // the cache may only be read
    }
    await content[Symbol.asyncDispose]();
    return await checked.open(snapshot, file.etag, signal);
  }

  /** Begins or resumes the download of a file. */
  async download(
    file: CachedFile & { readonly etag: string },
    signal?: AbortSignal,
  ): Promise<Download | undefined> {
    const { repository, etag } = file;
    const snapshot = pathIn("snapshots", file);
    const place = {
      blob: `${this.#folder(repository)}/blobs/${etag}`,
      isComplete: () => this.#isSound(file, signal),
      complete: async (sha256: string, alone: boolean) => {
        if (snapshot !== undefined) await this.#putIntoSnapshot(repository, etag, snapshot);
        const checked = await this.#checked(repository);
        await checked.note(snapshot ?? `blobs/${etag}`, etag, sha256, alone);
      },
    };
    return await beginDiskDownload(await this.#files(), place, signal);
  }

  /** Whether the hub has said that there is no such file in the commit. */
  async isAbsent(file: CachedFile): Promise<boolean> {
    const marker = pathIn(".no_exist", file);
    return marker !== undefined && await isThere(`${this.#folder(file.repository)}/${marker}`);
  }

  /** Remembers that there is no such file in the commit. */
  async setAbsent(file: CachedFile): Promise<void> {
    const marker = pathIn(".no_exist", file);
    // There may be nothing to write, which may not be possible.
    if (marker === undefined || await this.isAbsent(file)) return;
    await writeFile(await this.#files(), `${this.#folder(file.repository)}/${marker}`, "");
  }

  /** The list that Python keeps of a commit, or whether the commit was fetched as a model. */
  async filesOf(
    repository: string,
    commit: string,
  ): Promise<ReadonlySet<string> | "fetched" | undefined> {
    const folder = this.#folder(repository);
    const listed = await readTree(`${folder}/trees/${commit}.json`);
    if (listed) return listed;
    for (const path of ["model_index.json", "config.json"]) {
      if (await isThere(`${folder}/snapshots/${commit}/${path}`)) return "fetched";
    }
    return undefined;
  }

  /** The commit that a revision was when the hub was asked last. */
  async commitOf(repository: string, revision: string): Promise<string | undefined> {
    const commit = (await textOf(this.#refPath(repository, revision)))?.trim();
    return commit !== undefined && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
  }

  /** Remembers the commit that a revision is. */
  async setCommit(repository: string, revision: string, commit: string): Promise<void> {
    // There is nothing to write, which may not be possible.
    if (await this.commitOf(repository, revision) === commit) return;
    await writeFile(await this.#files(), this.#refPath(repository, revision), commit);
  }

  #files(): Promise<FileSystem> {
    return fileSystem(`use the cache ${this.#root}`);
  }

  async #checked(repository: string): Promise<CheckedFiles> {
    return new CheckedFiles(await this.#files(), this.#folder(repository), this.#verify);
  }

  /** Whether a file is there that is not damaged. */
  async #isSound(file: CachedFile, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      const found = await this.find(file, signal);
      await found?.[Symbol.asyncDispose]();
      return found !== undefined;
    } catch (error) {
      if (error instanceof DamagedFileError) return false;
      throw error;
    }
  }

  #folder(repository: string): string {
    return joinPath(this.#root, `models--${repository.replaceAll("/", "--")}`);
  }

  #refPath(repository: string, revision: string): string {
    return `${this.#folder(repository)}/refs/${checkPath(revision)}`;
  }

  /** Links a name in a snapshot to its content, or moves the content there. */
  async #putIntoSnapshot(repository: string, etag: string, snapshot: string): Promise<void> {
    const files = await this.#files();
    const folder = this.#folder(repository);
    const path = `${folder}/${snapshot}`;
    await makeFolderOf(files, path);
    // A link is made beside it and then renamed, so that others always find one.
    const link = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
    try {
      await files.symlink(`${"../".repeat(snapshot.split("/").length - 1)}blobs/${etag}`, link);
    } catch {
      // There are no links here, or the permissions do not suffice for one.
      return await moveThere(files, `${folder}/blobs/${etag}`, path);
    }
    try {
      await files.rename(link, path);
    } catch (error) {
      await removeIfThere(files, link);
      throw error;
    }
  }
}

/** Moves a content into the snapshot, unless another process has done that. */
async function moveThere(files: FileSystem, blob: string, snapshot: string): Promise<void> {
  try {
    await files.rename(blob, snapshot);
  } catch (error) {
    if (!hasCode(error, "ENOENT") || !await isThere(snapshot)) throw error;
  }
}

/** Path of a file in the folder of its model, if its commit is known. */
function pathIn(kind: string, { commit, path }: CachedFile): string | undefined {
  return commit === undefined ? undefined : `${kind}/${commit}/${checkPath(path)}`;
}

async function isThere(location: string): Promise<boolean> {
  const found = await openIfThere(location);
  await found?.[Symbol.asyncDispose]();
  return found !== undefined;
}

/** The text of a small file, if it is there. */
async function textOf(location: string): Promise<string | undefined> {
  await using found = await openIfThere(location) ?? null;
  return found ? new TextDecoder().decode(await found.read(0, found.size)) : undefined;
}

/** The paths in a list of files of Python's, or undefined if there is no such list. */
async function readTree(path: string): Promise<ReadonlySet<string> | undefined> {
  let tree: unknown;
  try {
    tree = await inTurns(parseJson(await textOf(path) ?? ""));
  } catch {
    return undefined; // as if it were not there
  }
  const files = typeof tree === "object" && tree !== null && "files" in tree ? tree.files : null;
  return typeof files === "object" && files ? new Set(Object.keys(files)) : undefined;
}
