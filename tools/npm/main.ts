// Writes the npm package into `out/npm`.

import { pathTo } from "../bundle/build.ts";
import { runScript } from "../script.ts";
import { writePackage } from "./package.ts";

const USAGE = `Writes the npm package into out/npm.

Usage: deno task npm; then npm publish out/npm`;

await runScript({
  usage: USAGE,
  options: {},
  run: async () => {
    const folder = pathTo("out/npm");
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    await writePackage(folder);
    console.log(`Wrote ${folder}`);
  },
});
