/**
 * The choice of a cache.
 *
 * @module
 */

import { pathOfUrl } from "../files/paths.ts";
import type { HubCache, VerifyFiles } from "./cache.ts";

/**
 * The cache that an option asks for: a folder on disk in the layout of `huggingface_hub`, whose
 * contents both can use; `false` for none; or a cache of one's own. Default: the Cache API of the
 * browser or of Deno where there is one, which needs no permission.
 *
 * @param verify When files are compared with their hashes.
 */
export async function openCache(
  option: string | URL | HubCache | false | undefined,
  verify?: VerifyFiles,
): Promise<HubCache | undefined> {
  if (option === false) return undefined;
  if (typeof option === "string" || option instanceof URL) {
    const { DiskCache } = await import("./disk_cache.ts");
    return new DiskCache(typeof option === "string" ? option : pathOfUrl(option), verify);
  }
  if (option !== undefined) return option;
  if (typeof caches === "undefined") return undefined;
  const { BrowserCache } = await import("./browser_cache.ts");
  return new BrowserCache(caches, verify);
}
