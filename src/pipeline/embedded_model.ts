/**
 * The embedded model, which lies beside the code.
 *
 * @module
 */

import {
  cacheOfServers,
  openFolder,
  type OpenFolderOptions,
  withTotal,
} from "../checkpoints/folders.ts";
import type { ModelFolder } from "../files/source.ts";

/** The embedded model, below the code; as a constant, so that bundlers take it for no file of theirs. */
const EMBEDDED_MODEL = "../../weights/";

/**
 * Where the embedded model lies: beside the code, whether that is on disk or behind a URL.
 *
 * @throws {TypeError} If the code has no URL, as in runtimes that are given a bundle.
 */
export function embeddedModelUrl(): URL {
  const here: string | undefined = import.meta.url;
  if (here !== undefined && URL.canParse(EMBEDDED_MODEL, here)) {
    return new URL(EMBEDDED_MODEL, here);
  }
  throw new TypeError(
    "Cannot load a pipeline: source is undefined, expected a folder or a URL, as the code has no URL " +
      "here that the embedded model could lie beside",
  );
}

/**
 * Opens the embedded model. Behind a URL its files are checked, and kept in the cache, so that they are fetched once.
 *
 * @throws {TypeError} If the code has no URL.
 */
export async function openEmbeddedModel(options: OpenFolderOptions): Promise<ModelFolder> {
  const url = embeddedModelUrl();
  if (url.protocol !== "https:" && url.protocol !== "http:") return await openFolder(url, options);
  const { EMBEDDED_FILES } = await import("./embedded_files.ts");
  const { knownFolder } = await import("../hub/known_folder.ts");
  return knownFolder(url, EMBEDDED_FILES, await cacheOfServers(options), await withTotal(options));
}
