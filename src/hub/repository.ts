/**
 * What the hub says of a model: its commit, its files, and each file's length and hash.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import { parseJson } from "../base/json.ts";
import { inTurns, type Steps } from "../base/pauses.ts";
import {
  bodyOf,
  contentLength,
  HttpError,
  type HttpOptions,
  messageOf,
  request,
  Retries,
} from "../files/http.ts";
import { describeUrl, MissingFileError } from "../files/paths.ts";
import { type ContentHash, createSha256, hashOfName } from "./hashes.ts";

/** Where a model is on the hub. */
export interface HubLocation {
  /** URL of the hub. */
  readonly endpoint: URL;
  /** Id of the model: `owner/name`. */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

/** What the hub says of a file in the list of all files. */
export interface ListedFile {
  /** Length in bytes, if the hub reports it. */
  readonly size: number | undefined;
  /** Its hash, if the hub reports it: SHA-256 of big files, git's SHA-1 of others. */
  readonly hash: ContentHash | undefined;
}

/** What the hub says of a revision of a model. */
export interface RepositoryInfo {
  /** The commit that the revision is; undefined if the hub does not report it. */
  readonly commit: string | undefined;
  /** The files by path; undefined if the hub gives no list. */
  readonly files: ReadonlyMap<string, ListedFile> | undefined;
}

/** What the hub says of a file when asked for it alone. */
export interface HubFileInfo extends ListedFile {
  /** The commit in which it is; undefined if the hub does not report it. */
  readonly commit: string | undefined;
  /**
   * Name of its content, fit to be a file name: its hash, or, of a mirror that tells none, what changes with the
   * file. Undefined if nothing does that.
   */
  readonly etag: string | undefined;
  /** ETag of the server that sends the file, if that is the hub itself. */
  readonly validator: string | undefined;
}

/** Files between two places where reading may be interrupted. */
const STEP = 1000;

/** Longest answer of the API that is read. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** The model and revision, for error messages. */
export function describeLocation({ id, revision }: HubLocation): string {
  return revision === "main" ? id : `${id} at revision ${describeValue(revision)}`;
}

/** Whether a revision is a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** URL of a file; `commit` instead of the revision makes sure that all files belong together. */
export function fileUrl(location: HubLocation, commit: string | undefined, path: string): URL {
  const revision = encodeURIComponent(commit ?? location.revision);
  const names = path.split("/").map(encodeURIComponent).join("/");
  return hubUrl(location, `${location.id}/resolve/${revision}/${names}`);
}

/**
 * Asks the hub for the commit and the files of a model.
 *
 * @throws {MissingFileError} If the hub says that there is no such model or revision.
 * @throws {HttpError} If the hub refuses access, or cannot answer.
 */
export async function fetchRepositoryInfo(
  location: HubLocation,
  options: HttpOptions,
): Promise<RepositoryInfo> {
  const revision = encodeURIComponent(location.revision);
  const url = hubUrl(location, `api/models/${location.id}/revision/${revision}`);
  url.searchParams.set("blobs", "true");
  const retries = new Retries(options);
  while (true) {
    const response = await request(url, {}, options);
    if (!response.ok) return await explainRefusal(location, response);
    try {
      return await inTurns(parseInfo(await readJsonBody(response, options)));
    } catch (cause) {
      if (await retries.next(`${url.host}: ${messageOf(cause)}`)) continue;
      const what = `Cannot read the list of files of ${describeLocation(location)}`;
      throw new Error(`${what}: ${messageOf(cause)}`, { cause });
    }
  }
}

/** What an answer without a list means. */
async function explainRefusal(location: HubLocation, response: Response): Promise<RepositoryInfo> {
  await response.body?.cancel();
  const error = accessError(location, response);
  if (error) throw error;
  if (response.status >= 500 || response.status === 429) {
    throw new HttpError(`Cannot open ${describeLocation(location)}`, response);
  }
  // A mirror that serves files only.
  return { commit: undefined, files: undefined };
}

/**
 * Asks the hub for a file without downloading it.
 *
 * @param listed What the list says of it, as what is said of the file alone may be hidden from scripts of pages.
 * @returns Undefined if there is no such file.
 * @throws {MissingFileError} If there is no such model or revision.
 * @throws {HttpError} If the hub refuses access, or cannot answer.
 */
export async function fetchFileInfo(
  location: HubLocation,
  commit: string | undefined,
  path: string,
  listed: ListedFile | undefined,
  options: HttpOptions,
): Promise<HubFileInfo | undefined> {
  const url = fileUrl(location, commit, path);
  // The length of a compressed answer would not be that of the file.
  const headers = { "accept-encoding": "identity" };
  const response = await request(url, { method: "HEAD", headers }, options);
  await response.body?.cancel();
  const redirected = response.status >= 300 && response.status < 400;
  if (!response.ok && !redirected) {
    const error = accessError(location, response);
    if (error) throw error;
    if (response.status === 404) return undefined;
    throw new HttpError(`Cannot read ${describeUrl(url)}`, response);
  }
  const { headers: said } = response;
  const validator = said.get("etag");
  const inCommit = said.get("x-repo-commit");
  const linked = said.get("x-linked-etag");
  const hash = hashOfEtag(linked, "sha256") ?? hashOfEtag(validator, "sha256") ??
    // Only the hub's own are known to be git's.
    (inCommit === null ? undefined : hashOfEtag(validator, "sha1")) ?? listed?.hash;
  const size = naturalOf(said.get("x-linked-size")) ??
    (redirected ? undefined : contentLength(response)) ?? listed?.size;
  const version = linked ?? validator ?? said.get("last-modified") ?? commit ?? inCommit;
  return {
    commit: inCommit !== null && isCommit(inCommit) ? inCommit : undefined,
    hash,
    etag: hash?.hex ?? (version === null ? undefined : versionName(url, version, size)),
    size,
    validator: !redirected && validator?.startsWith('"') ? validator : undefined,
  };
}

/**
 * Name of a content of which a server tells no hash, but its ETag or the time of its last change: that of the
 * file alone, as servers may give equal ones for different files. No hash looks like it.
 */
export function versionName(url: URL, version: string, size: number | undefined): string {
  const hasher = createSha256();
  const parts = [url.origin, url.pathname, version, size];
  hasher.update(new TextEncoder().encode(JSON.stringify(parts)));
  return `version-${hasher.digest().slice(0, 40)}`;
}

/** The error for an answer that concerns the model as a whole. */
function accessError(location: HubLocation, response: Response): Error | undefined {
  const { id, endpoint } = location;
  const what = `Cannot open ${describeLocation(location)}`;
  const code = response.headers.get("x-error-code");
  if (response.status === 403 || code === "GatedRepo") {
    const page = new URL(id, endpoint).href;
    return new HttpError(what, response, `accept its terms on ${page} and give a token`);
  }
  if (response.status === 401) {
    return new HttpError(what, response, "there is no such model, or it needs a token to be read");
  }
  if (code === "RepoNotFound") {
    return new MissingFileError(`Cannot find the model ${id} on ${endpoint.host}`);
  }
  if (code === "RevisionNotFound") {
    return new MissingFileError(`${what}: there is no such revision`);
  }
  return undefined;
}

function* parseInfo(json: unknown): Steps<RepositoryInfo> {
  if (typeof json !== "object" || json === null) return { commit: undefined, files: undefined };
  const commit = "sha" in json && typeof json.sha === "string" && isCommit(json.sha)
    ? json.sha
    : undefined;
  if (!("siblings" in json) || !Array.isArray(json.siblings)) return { commit, files: undefined };
  const files = new Map<string, ListedFile>();
  for (const [i, file] of json.siblings.entries()) {
    if (i % STEP === 0) yield;
    const path: unknown = file?.rfilename;
    if (typeof path !== "string") continue;
    const size: unknown = file.size;
    const name: unknown = file.lfs ? file.lfs.sha256 : file.blobId;
    files.set(path, {
      size: typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
      hash: typeof name === "string" ? hashOfName(name) : undefined,
    });
  }
  return { commit, files };
}

/**
 * Undefined if it is something else than JSON.
 *
 * @throws {SyntaxError} If it claims to be JSON, and is none: a part of it may have been lost.
 */
async function readJsonBody(response: Response, options: HttpOptions): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of bodyOf(response, options)) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  try {
    return await inTurns(parseJson(text));
  } catch {
    if (!/\bjson\b/i.test(response.headers.get("content-type") ?? "")) return undefined;
    throw new SyntaxError("the answer is broken JSON");
  }
}

function hubUrl({ endpoint }: HubLocation, path: string): URL {
  return new URL(path, endpoint.href.endsWith("/") ? endpoint : `${endpoint.href}/`);
}

/** The hash of one kind that an ETag is, without quotation marks and the mark of weak ones. */
function hashOfEtag(
  etag: string | null,
  algorithm: ContentHash["algorithm"],
): ContentHash | undefined {
  const hash = hashOfName(etag?.replace(/^W\//, "").replaceAll('"', "") ?? "");
  return hash?.algorithm === algorithm ? hash : undefined;
}

function naturalOf(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
