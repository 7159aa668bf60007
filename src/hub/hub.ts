/**
 * Folders of models on the Hugging Face hub.
 *
 * @module
 */

import { refuseType } from "../base/check.ts";
import { type CachedFile, DamagedFileError, type HubCache, type VerifyFiles } from "./cache.ts";
import { CacheWriteError, downloadInto, type ExpectedFile } from "./download.ts";
import { expectedWeights } from "./expected_weights.ts";
import { type FileTree, treeFolder } from "../files/file_tree.ts";
import { type HttpOptions, messageOf } from "../files/http.ts";
import { openHttpFile } from "../files/http_file.ts";
import { hubFetch } from "./fetch.ts";
import { checkedIfSmall } from "./file_hash.ts";
import { healingFile } from "./healing_file.ts";
import { isHubId } from "./hub_id.ts";
import { impatient } from "./impatience.ts";
import { openCache } from "./open_cache.ts";
import {
  describeLocation,
  fetchFileInfo,
  fetchRepositoryInfo,
  fileUrl,
  type HubLocation,
  isCommit,
  type ListedFile,
  type RepositoryInfo,
} from "./repository.ts";
import { missingFile, MissingFileError } from "../files/paths.ts";
import { FileProgress } from "../files/progress.ts";
import { TotalProgress } from "../files/total_progress.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";

/** Where the hub is, unless an option says otherwise. */
const DEFAULT_ENDPOINT = "https://huggingface.co";

/** How to use the hub. */
export interface HubOptions extends HttpOptions {
  /** Branch, tag or commit. Default `"main"`. */
  readonly revision?: string | undefined;
  /** Token that may read the model. It is sent to the hub only. */
  readonly token?: string | undefined;
  /** URL of the hub or of a mirror. Default `https://huggingface.co`. */
  readonly endpoint?: string | URL | undefined;
  /**
   * Where to keep what was downloaded: a folder on disk, in the layout of `huggingface_hub`; a cache of
   * one's own; or `false`, to keep nothing and read only what is needed. Default: the Cache API, of
   * the browser or of Deno, where there is one.
   */
  readonly cache?: string | URL | HubCache | false | undefined;
  /**
   * When files of the cache are compared with their hashes: whenever they are new or have changed since the last
   * check by their length or times (`"changed"`, the default), `"always"` or `"never"`. A file that is not what
   * was downloaded is downloaded again, with a notice.
   */
  readonly verify?: VerifyFiles | undefined;
  /** Whether to use only what is in the cache, and not to ask the hub. Default false. */
  readonly localFilesOnly?: boolean | undefined;
}

/**
 * Opens a model on the hub. Its files are downloaded into the cache when they are opened, and not again
 * as long as they have not changed; without the network, what is in the cache is used.
 *
 * @throws {TypeError} If the id, the revision or the endpoint is malformed.
 */
export function openHubFolder(id: string, options: HubOptions = {}): ModelFolder {
  const { revision = "main", endpoint = DEFAULT_ENDPOINT } = options;
  const task = "open a model on the hub";
  if (!isHubId(id)) refuseType({ task, name: "id" }, id, "owner/name");
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes("..")) {
    refuseType({ task, name: "revision" }, revision, "a branch, tag or commit");
  }
  if (!/^https?:/.test(String(endpoint)) || !URL.canParse(endpoint)) {
    refuseType({ task, name: "endpoint" }, String(endpoint), "an http or https URL");
  }
  const location = { endpoint: new URL(endpoint), id, revision };
  return treeFolder(new HubRepository(location, options));
}

/** What is known of the revision that is used. */
interface KnownRevision extends RepositoryInfo {
  /** Why the hub cannot be asked, if so. */
  readonly offline: Error | undefined;
  /** Whether what is not in the cache is not in the commit either, if the hub cannot be asked. */
  isAbsent?(path: string): boolean;
}

/** A revision of a model on the hub. */
class HubRepository implements FileTree {
  readonly #location: HubLocation;
  readonly #given: HubOptions;
  readonly #options: HttpOptions;
  readonly #total: TotalProgress | undefined;
  readonly #downloads = new Map<string, Promise<void>>();
  /** What is wrong with files of the cache, by their paths. */
  readonly #damaged = new Map<string, DamagedFileError>();
  #toldUnwritable = false;
  #known: Promise<KnownRevision> | undefined;
  #openedCache: Promise<HubCache | undefined> | undefined;

  constructor(location: HubLocation, options: HubOptions) {
    const { fetch = globalThis.fetch, token, onProgress } = options;
    this.#location = location;
    this.#given = options;
    this.#total = onProgress && new TotalProgress(onProgress);
    this.#options = {
      ...options,
      fetch: hubFetch(location.endpoint, token, fetch),
      onProgress: this.#total?.onProgress,
    };
  }

  get description(): string {
    return describeLocation(this.#location);
  }

  async has(path: string): Promise<boolean> {
    if (await this.#isCached(path, this.#fixedCommit())) return true;
    const { commit, files, offline } = await this.#revision();
    if (files) return files.has(path);
    if (offline) return await this.#isCached(path, commit) || this.#damaged.has(path);
    const found = await fetchFileInfo(this.#location, commit, path, undefined, this.#options);
    return found !== undefined;
  }

  async open(path: string, maxBytes?: number): Promise<FileSource> {
    this.#options.signal?.throwIfAborted();
    const early = await this.#openCached(path, this.#fixedCommit());
    if (early) return early;
    const { commit, files, offline } = await this.#revision();
    const listed = files?.get(path);
    if (files && !listed) throw await this.#missing(path, commit, files);
    const cached = await this.#openCached(path, commit, listed?.hash?.hex);
    if (cached === undefined && offline) throw await this.#unreachable(path, commit, offline);
    const file = cached ?? await this.#openRemote(path, commit, listed, maxBytes);
    if (path === "model_index.json" && files) await this.#expectWeights(file, files);
    return file;
  }

  #cache(): Promise<HubCache | undefined> {
    const { cache, verify } = this.#given;
    return this.#openedCache ??= openCache(cache, verify);
  }

  /** The revision if it is a commit: then the hub need not be asked for what is in the cache. */
  #fixedCommit(): string | undefined {
    const { revision } = this.#location;
    return isCommit(revision) ? revision : undefined;
  }

  #revision(): Promise<KnownRevision> {
    if (!this.#known) {
      this.#known = this.#askRevision();
      this.#known.catch(() => this.#known = undefined);
    }
    return this.#known;
  }

  /** Asks the hub which commit the revision is; without the network, the cache. */
  async #askRevision(): Promise<KnownRevision> {
    const { id, revision } = this.#location;
    const known = this.#fixedCommit() ?? await (await this.#cache())?.commitOf(id, revision);
    if (this.#given.localFilesOnly) return await this.#offlineRevision(known, this.#notAsked());
    try {
      const options = known === undefined ? this.#options : impatient(this.#options);
      const { commit, files } = await fetchRepositoryInfo(this.#location, options);
      if (commit !== undefined) await this.#write((cache) => cache.setCommit(id, revision, commit));
      return { commit, files, offline: undefined };
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      if (!(error instanceof Error) || error instanceof MissingFileError) throw error;
      const offline = await this.#offlineRevision(known, error);
      this.#notice(`${messageOf(error)}; using what is in the cache`);
      return offline;
    }
  }

  /** What the cache knows of the revision. */
  async #offlineRevision(commit: string | undefined, offline: Error): Promise<KnownRevision> {
    if (commit === undefined) throw offline;
    const known = await (await this.#cache())?.filesOf?.(this.#location.id, commit);
    const isAbsent = (path: string) =>
      known === "fetched" || known !== undefined && !known.has(path);
    return { commit, files: undefined, offline, isAbsent };
  }

  /** The error for what is not in the cache, if the hub is not to be asked. */
  #notAsked(): Error {
    return new MissingFileError(
      `Cannot find ${this.description} in the cache, and the hub is not to be asked`,
    );
  }

  #notice(message: string): void {
    this.#options.onProgress?.({ type: "notice", message });
  }

  /** Writes to the cache what it can do without; a cache that may only be read can still be used. */
  async #write(write: (cache: HubCache) => Promise<void>): Promise<void> {
    try {
      const cache = await this.#cache();
      if (cache) await write(cache);
    } catch (error) {
      this.#tellUnwritable(error);
    }
  }

  #tellUnwritable(error: unknown): void {
    if (!this.#toldUnwritable) this.#notice(`The cache cannot be written: ${messageOf(error)}`);
    this.#toldUnwritable = true;
  }

  async #isCached(path: string, commit: string | undefined): Promise<boolean> {
    const file = await this.#find(path, commit);
    await file?.[Symbol.asyncDispose]();
    return file !== undefined;
  }

  async #find(
    path: string,
    commit: string | undefined,
    etag?: string,
  ): Promise<FileSource | undefined> {
    if (commit === undefined && etag === undefined) return undefined;
    try {
      const { signal } = this.#options;
      return await (await this.#cache())?.find({ ...this.#cachedFile(path, commit), etag }, signal);
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      this.#tellDamaged(path, error);
      return undefined;
    }
  }

  #tellDamaged(path: string, error: DamagedFileError): void {
    if (!this.#damaged.has(path)) this.#notice(`${error.message}; it has to be downloaded again`);
    this.#damaged.set(path, error);
  }

  #cachedFile(path: string, commit: string | undefined): CachedFile {
    return { repository: this.#location.id, commit, path, etag: undefined };
  }

  async #openCached(
    path: string,
    commit: string | undefined,
    etag?: string,
  ): Promise<FileSource | undefined> {
    const file = await this.#find(path, commit, etag);
    return file && this.#tellCached(path, file);
  }

  #tellCached(path: string, file: FileSource): FileSource {
    new FileProgress(path, this.#options.onProgress).whole(file.size);
    return this.#healing(path, file);
  }

  /** A file of the cache that is downloaded again if reading finds it damaged. */
  #healing(path: string, file: FileSource): FileSource {
    return healingFile(file, async (error) => {
      this.#tellDamaged(path, error);
      const { commit, files, offline } = await this.#revision();
      if (offline) throw await this.#unreachable(path, commit, offline);
      return await this.#openRemote(path, commit, files?.get(path), file.size);
    });
  }

  /** Downloads a file into the cache and opens it there; reads it from the hub if that cannot be. */
  async #openRemote(
    path: string,
    commit: string | undefined,
    listed: ListedFile | undefined,
    maxBytes = Infinity,
  ): Promise<FileSource> {
    const cache = await this.#cache();
    if (!cache) return await this.#openUncached(path, commit, listed, maxBytes);
    try {
      return await this.#openDownloaded(cache, path, commit, listed, maxBytes);
    } catch (error) {
      if (!(error instanceof CacheWriteError)) throw error;
      this.#tellUnwritable(error.cause);
      return await this.#openUncached(path, commit, listed, maxBytes);
    }
  }

  async #openUncached(
    path: string,
    commit: string | undefined,
    listed: ListedFile | undefined,
    maxBytes: number,
  ): Promise<FileSource> {
    const progress = new FileProgress(path, this.#options.onProgress);
    try {
      const url = fileUrl(this.#location, commit, path);
      const file = await openHttpFile(url, progress, { ...this.#options, maxBytes });
      return await checkedIfSmall(file, listed?.hash);
    } catch (error) {
      throw error instanceof MissingFileError
        ? await this.#missing(path, commit, undefined)
        : error;
    }
  }

  async #openDownloaded(
    cache: HubCache,
    path: string,
    commit: string | undefined,
    listed: ListedFile | undefined,
    maxBytes: number,
  ): Promise<FileSource> {
    const info = await fetchFileInfo(this.#location, commit, path, listed, this.#options);
    if (!info) throw await this.#missing(path, commit, undefined);
    const { etag, commit: found, size, hash, validator } = info;
    // Nothing tells whether the file is still the same another time, or it will be refused.
    const isPassing = etag === undefined || (size ?? 0) > maxBytes;
    if (isPassing) return await this.#openUncached(path, commit, listed, maxBytes);
    if (commit === undefined && found !== undefined) {
      const { id, revision } = this.#location;
      await this.#write((cache) => cache.setCommit(id, revision, found));
    }
    const file = { repository: this.#location.id, commit: commit ?? found, path, etag };
    const known = await this.#find(path, file.commit, etag); // by another revision
    if (known) return this.#tellCached(path, known);
    let download = this.#downloads.get(path);
    if (!download) {
      download = this.#download(cache, file, { size, hash, validator });
      this.#downloads.set(path, download);
      const forget = () => this.#downloads.delete(path);
      download.then(forget, forget);
    }
    await download;
    this.#damaged.delete(path);
    const source = await cache.find(file, this.#options.signal);
    if (source) return this.#healing(path, source);
    throw new Error(`Cannot read ${path} of ${this.description}: the cache has lost it`);
  }

  async #download(
    cache: HubCache,
    file: Parameters<HubCache["download"]>[0],
    expected: ExpectedFile,
  ): Promise<void> {
    const url = fileUrl(this.#location, file.commit, file.path);
    await downloadInto(cache, file, url, expected, this.#options);
  }

  /** Counts the weights of all components from the beginning, so that totals do not grow. */
  async #expectWeights(
    modelIndex: FileSource,
    files: ReadonlyMap<string, ListedFile>,
  ): Promise<void> {
    for (const path of await expectedWeights(modelIndex, files)) {
      this.#total?.expect(path, files.get(path)?.size ?? 0);
    }
  }

  /** The error for a file that is not in the cache, when the hub cannot be asked. */
  async #unreachable(path: string, commit: string | undefined, offline: Error): Promise<Error> {
    const damage = this.#damaged.get(path);
    if (damage) {
      const what = `Cannot read ${path} of ${this.description}`;
      return new Error(`${what}: ${damage.message}; ${messageOf(offline)}`, { cause: damage });
    }
    const { isAbsent } = await this.#revision();
    const absent = isAbsent?.(path) ||
      await (await this.#cache())?.isAbsent(this.#cachedFile(path, commit));
    if (absent) return missingFile(`${path} in ${this.description}`, offline);
    return offline;
  }

  /** The error for a file that is not there, with what works instead where that is known. */
  async #missing(
    path: string,
    commit: string | undefined,
    files: ReadonlyMap<string, ListedFile> | undefined,
  ): Promise<MissingFileError> {
    const { id, revision } = this.#location;
    await this.#write((cache) => cache.setAbsent(this.#cachedFile(path, commit)));
    const plain = missingFile(`${path} in ${this.description}`);
    const component = path.slice(0, Math.max(0, path.indexOf("/")));
    const lacksComponent = files
      ? !Array.from(files.keys()).some((file) => file.startsWith(`${component}/`))
      : path.endsWith("/config.json");
    if (revision === "main" || component === "" || !lacksComponent) return plain;
    const main = openHubFolder(id, { ...this.#given, revision: "main", onProgress: undefined });
    try {
      if (!await main.has(path)) return plain;
    } catch {
      this.#options.signal?.throwIfAborted();
      return plain;
    }
    const dtype = /^(fp16|float16|half)$/.test(revision) ? ` with dtype "fp16"` : "";
    return new MissingFileError(
      `Cannot find ${path} in ${this.description}: that revision has no ${component}; ` +
        `load the revision "main"${dtype} instead`,
    );
  }
}
