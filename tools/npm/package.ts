/**
 * The npm package: the bundles for Node and for edge workers, kernels, weights and a command.
 *
 * @module
 */

import { bundle, pathTo } from "../bundle/build.ts";
import { copyKernels, writeTypes } from "../bundle/files.ts";
import { TARGETS } from "../bundle/targets.ts";

/** Files of the repository that go along as they are. */
const COPIES = ["README.md", "LICENSE", "CHANGELOG.md"];

/**
 * Writes the package into an empty folder. Code lies two folders deep, so that the embedded model lies where
 * it looks for it: in the folder `weights` of the package.
 */
export async function writePackage(folder: string): Promise<void> {
  const { node, edge } = TARGETS;
  const entries = { ...node.entries, bin: "tools/npm/bin.ts" };
  await bundle({ ...node, entries }, `${folder}/esm/lib`);
  await bundle(edge, `${folder}/edge`);
  // Together, so that what both have is of the same type.
  await writeTypes({ ...node.entries, ...edge.entries }, folder);
  await Deno.mkdir(`${folder}/wasm`, { recursive: true });
  await copyKernels(`${folder}/wasm`);
  await copyFolder("weights", `${folder}/weights`);
  for (const name of COPIES) await Deno.copyFile(pathTo(name), `${folder}/${name}`);
  const text = JSON.stringify(await manifest(), undefined, 2);
  await Deno.writeTextFile(`${folder}/package.json`, `${text}\n`);
}

/** `package.json`, with name, version and license of `deno.json`. */
async function manifest(): Promise<unknown> {
  const { name, version, license } = JSON.parse(await Deno.readTextFile(pathTo("deno.json")));
  const entry = (name: string, folder = "esm/lib") => {
    return { types: `./${name}.d.ts`, default: `./${folder}/${name}.js` };
  };
  const names = Object.keys(TARGETS.node.entries).filter((entry) => entry !== "mod");
  return {
    name,
    version,
    description: "Text to image with VQ-Diffusion, on CPU and GPU, without native code",
    license,
    keywords: ["text-to-image", "diffusion", "webgpu", "wasm", "webassembly", "vq-diffusion"],
    type: "module",
    engines: { node: ">=20.16" },
    sideEffects: false,
    bin: { "vq-diffusion": "esm/lib/bin.js" },
    exports: {
      ".": entry("mod"),
      ...Object.fromEntries(names.map((name) => [`./${name}`, entry(name)])),
      "./edge": entry("edge", "edge"),
      "./wasm/*": "./wasm/*",
      "./weights/*": "./weights/*",
      "./package.json": "./package.json",
    },
  };
}

/** Copies a folder of the repository, pictures left out. */
async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(pathTo(from))) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else if (!name.endsWith(".png")) {
      await Deno.copyFile(pathTo(`${from}/${name}`), `${to}/${name}`);
    }
  }
}
