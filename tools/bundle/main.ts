/**
 * Bundles the library into `out/browser`, `out/edge` and `out/node`, with types.
 *
 * Usage: `deno task bundle [browser] [edge] [node]`; without names it makes all.
 */

import { bundle, pathTo } from "./build.ts";
import { copyKernels, writeTypes } from "./files.ts";
import { TARGETS } from "./targets.ts";

const names = Deno.args.length > 0 ? Deno.args : Object.keys(TARGETS);
const unknown = names.find((name) => !Object.hasOwn(TARGETS, name));
if (unknown !== undefined) {
  const known = Object.keys(TARGETS).join(", ");
  console.error(`Cannot bundle: the target is ${JSON.stringify(unknown)}, expected ${known}`);
  Deno.exit(1);
}
for (const name of names as (keyof typeof TARGETS)[]) {
  const folder = pathTo(`out/${name}`);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await bundle(TARGETS[name], folder);
  await writeTypes(TARGETS[name].entries, folder);
  if (name === "edge") await copyKernels(folder);
  console.log(`Wrote ${folder}`);
}
