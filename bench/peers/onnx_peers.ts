// onnxruntime from npm, in its two forms: Wasm, and a native library.

import type { Peer } from "./peer.ts";

const VERSION = "1.30.0";
const CHILD = new URL("onnx_child.ts", import.meta.url).href;

/**
 * Installs both packages into the user's cache, if they are not there, and gives them as peers.
 *
 * @throws {Error} If npm is missing or fails.
 */
export async function onnxPeers(): Promise<readonly Peer[]> {
  const modules = `${cacheFolder()}/vq-diffusion-bench/onnxruntime-${VERSION}`;
  await install(modules, [`onnxruntime-web@${VERSION}`, `onnxruntime-node@${VERSION}`]);
  const peer = (name: string, shortName: string, simd: string): Peer => ({
    name: `${name} ${VERSION}`,
    shortName,
    simd,
    supports: ({ onnx }) => onnx !== undefined,
    command: (folder, threads) => {
      return [Deno.execPath(), "run", "--allow-all", CHILD, modules, name, folder, `${threads}`];
    },
  });
  return [
    peer("onnxruntime-web", "ort-web", "simd"),
    peer("onnxruntime-node", "ort-node", "native"),
  ];
}

/** @throws {Error} If no variable of the environment tells where it is. */
function cacheFolder(): string {
  const home = Deno.env.get("HOME");
  const folder = Deno.env.get("XDG_CACHE_HOME") ?? Deno.env.get("LOCALAPPDATA") ??
    (home && `${home}/.cache`);
  if (folder) return folder;
  throw new Error(
    "Cannot find the user's cache: none of XDG_CACHE_HOME, LOCALAPPDATA, HOME is set",
  );
}

async function install(folder: string, packages: readonly string[]): Promise<void> {
  const isThere = async (name: string) => {
    const path = `${folder}/node_modules/${name.split("@")[0]}/package.json`;
    return await Deno.stat(path).then(() => true, () => false);
  };
  if ((await Promise.all(packages.map(isThere))).every(Boolean)) return;
  await Deno.mkdir(folder, { recursive: true });
  console.error(`Installing ${packages.join(", ")} into ${folder}`);
  const { success } = await new Deno.Command("npm", {
    args: ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", ...packages],
    cwd: folder,
  }).spawn().status;
  if (!success) throw new Error(`npm could not install ${packages.join(", ")}`);
}
