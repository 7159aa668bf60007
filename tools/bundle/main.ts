// Bundles the library into `out/browser`, `out/edge` and `out/node`, with types.

import { UsageError } from "../../src/cli/arguments.ts";
import { runScript } from "../script.ts";
import { bundle, pathTo } from "./build.ts";
import { copyKernels, writeTypes } from "./files.ts";
import { TARGETS } from "./targets.ts";

const KNOWN = Object.keys(TARGETS) as (keyof typeof TARGETS)[];

const USAGE = `Bundles the library, with types, into a folder of out/ for each target.

Usage: deno task bundle [${KNOWN.join("] [")}]

Without names it makes all.`;

async function make(name: keyof typeof TARGETS): Promise<void> {
  const folder = pathTo(`out/${name}`);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await bundle(TARGETS[name], folder);
  await writeTypes(TARGETS[name].entries, folder);
  if (name === "edge") await copyKernels(folder);
  console.log(`Wrote ${folder}`);
}

await runScript({
  usage: USAGE,
  options: {},
  positionals: true,
  run: async ({ positionals }) => {
    const unknown = positionals.find((name) => !Object.hasOwn(TARGETS, name));
    if (unknown !== undefined) {
      throw new UsageError(
        `The target is ${JSON.stringify(unknown)}, expected ${KNOWN.join(", ")}`,
      );
    }
    for (const name of KNOWN) {
      if (positionals.length === 0 || positionals.includes(name)) await make(name);
    }
  },
});
