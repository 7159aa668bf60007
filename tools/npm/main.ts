/**
 * Writes the npm package into `out/npm`.
 *
 * Usage: `deno task npm`; then `npm publish out/npm`.
 */

import { pathTo } from "../bundle/build.ts";
import { writePackage } from "./package.ts";

const folder = pathTo("out/npm");
await Deno.remove(folder, { recursive: true }).catch(() => {});
await writePackage(folder);
console.log(`Wrote ${folder}`);
