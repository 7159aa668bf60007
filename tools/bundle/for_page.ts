/**
 * Bundles the library for the page of `deno task serve`, which draws with it in the browser, unless the bundle
 * is there and newer than what it is made of. If that fails, as without a network, the page draws on the server.
 */

import { bundle, pathTo } from "./build.ts";
import { TARGETS } from "./targets.ts";

const SOURCES = ["mod.ts", "src", "wasm", "tools/bundle"];
const FOLDER = pathTo("out/browser");

/** When anything of it was last changed, in milliseconds; 0 if there is nothing. */
function lastChange(path: string): number {
  const info = Deno.statSync(path);
  const own = info.mtime?.getTime() ?? 0;
  if (!info.isDirectory) return own;
  return Math.max(
    own,
    ...[...Deno.readDirSync(path)].map(({ name }) => lastChange(`${path}/${name}`)),
  );
}

/** Whether the bundle is newer than its sources. */
function isFresh(): boolean {
  try {
    const made = Deno.statSync(`${FOLDER}/mod.js`).mtime?.getTime() ?? 0;
    return SOURCES.every((source) => lastChange(pathTo(source)) < made);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

try {
  if (!isFresh()) {
    // Not there before it is whole.
    const unfinished = `${FOLDER}.unfinished`;
    for (const folder of [FOLDER, unfinished]) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
    }
    await bundle(TARGETS.browser, unfinished);
    await Deno.rename(unfinished, FOLDER);
  }
} catch (error) {
  const { message } = error as Error;
  console.error(
    `The page can draw on the server only, as the library cannot be bundled: ${message}`,
  );
}
