/**
 * The choice of a cache.
 *
 * @module
 */

import { pathOfUrl } from "../files/paths.ts";
import { BrowserCache } from "./browser_cache.ts";
import type { HubCache } from "./cache.ts";
import { DiskCache } from "./disk_cache.ts";

/**
 * The cache that an option asks for: a folder on disk in the layout of `huggingface_hub`, whose
 * contents both can use; `false` for none; or a cache of one's own. Default: the Cache API of the
 * browser or of Deno where there is one, which needs no permission.
 */
export function openCache(
  option: string | URL | HubCache | false | undefined,
): HubCache | undefined {
  if (option === false) return undefined;
  if (typeof option === "string") return new DiskCache(option);
  if (option instanceof URL) return new DiskCache(pathOfUrl(option));
  if (option !== undefined) return option;
  return typeof caches === "undefined" ? undefined : new BrowserCache(caches);
}
