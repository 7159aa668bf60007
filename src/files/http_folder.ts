/**
 * Folders behind a URL.
 *
 * @module
 */

import { type FileTree, treeFolder } from "./file_tree.ts";
import type { HttpOptions } from "./http.ts";
import { isThere, openHttpFile } from "./http_file.ts";
import { describeUrl, joinPath } from "./paths.ts";
import { FileProgress } from "./progress.ts";
import { followingRedirects } from "./redirects.ts";
import type { FileSource, ModelFolder } from "./source.ts";

/**
 * A folder behind an http(s) URL whose files can be fetched by their paths below it. A query, such as
 * a signature, is kept for every file.
 */
export function httpFolder(url: URL, options: HttpOptions = {}): ModelFolder {
  const fetch = followingRedirects(options.fetch ?? globalThis.fetch);
  return treeFolder(new HttpTree(url, { ...options, fetch }));
}

class HttpTree implements FileTree {
  readonly description: string;
  readonly #root: URL;
  readonly #options: HttpOptions;

  constructor(root: URL, options: HttpOptions) {
    this.description = describeUrl(root);
    this.#root = root;
    this.#options = options;
  }

  async has(path: string): Promise<boolean> {
    return await isThere(this.#url(path), this.#options);
  }

  async open(path: string, maxBytes?: number): Promise<FileSource> {
    const progress = new FileProgress(path, this.#options.onProgress);
    return await openHttpFile(this.#url(path), progress, { ...this.#options, maxBytes });
  }

  #url(path: string): URL {
    const url = new URL(this.#root);
    url.pathname = joinPath(url.pathname, path.split("/").map(encodeURIComponent).join("/"));
    return url;
  }
}
