/**
 * Folders behind a URL.
 *
 * @module
 */

import { describeUrl, HttpError, type HttpOptions, request } from "./http.ts";
import { openHttpFile } from "./http_file.ts";
import { checkPath, joinPath, readTextOf } from "./paths.ts";
import { FileProgress } from "./progress.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/**
 * A folder behind an http(s) URL whose files can be fetched by their paths below it. A query, such as
 * a signature, is kept for every file.
 */
export function httpFolder(url: URL, options: HttpOptions = {}): ModelFolder {
  return new HttpFolder(url, "", options);
}

class HttpFolder implements ModelFolder {
  readonly #root: URL;
  readonly #prefix: string;
  readonly #options: HttpOptions;

  constructor(root: URL, prefix: string, options: HttpOptions) {
    this.#root = root;
    this.#prefix = prefix;
    this.#options = options;
  }

  get description(): string {
    return joinPath(describeUrl(this.#root), this.#prefix);
  }

  async has(path: string): Promise<boolean> {
    const url = this.#url(path);
    let response = await request(url, { method: "HEAD" }, this.#options);
    if (response.status === 405 || response.status === 501) {
      response = await request(url, { headers: { range: "bytes=0-0" } }, this.#options);
    }
    await response.body?.cancel();
    if (response.ok || response.status === 416) return true;
    if (response.status === 404 || response.status === 410) return false;
    throw new HttpError(`Cannot look for ${describeUrl(url)}`, response);
  }

  async readText(path: string): Promise<string> {
    return await readTextOf(await this.open(path));
  }

  async open(path: string): Promise<FileSource> {
    const url = this.#url(path);
    const progress = new FileProgress(joinPath(this.#prefix, path), this.#options.onProgress);
    return await openHttpFile(url, progress, this.#options);
  }

  folder(path: string): ModelFolder {
    return new HttpFolder(this.#root, joinPath(this.#prefix, checkPath(path)), this.#options);
  }

  #url(path: string): URL {
    const names = joinPath(this.#prefix, checkPath(path)).split("/").map(encodeURIComponent);
    const url = new URL(this.#root);
    url.pathname = joinPath(url.pathname, names.join("/"));
    return url;
  }
}
