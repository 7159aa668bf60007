// Workers in workerd, the runtime of Cloudflare Workers, as npm has it.

import { bundle } from "../../tools/bundle/build.ts";
import { TARGETS } from "../../tools/bundle/targets.ts";
import { install, type Installed } from "../runtimes/npm_packages.ts";

const ROOT = new URL("../../", import.meta.url);

/** The memory that Cloudflare gives a worker: 128 MiB of Wasm and as much of JavaScript. */
const V8_FLAGS = ["--max-old-space-size=128", "--wasm-max-mem-pages=2048"];

const KERNELS = ["relaxed_simd.wasm", "simd.wasm"];

/** A folder with workerd and the bundle for edge workers. */
export type Workerd = Installed;

/** Installs workerd and bundles the library; undefined where workerd cannot be had. */
export async function prepareWorkerd(): Promise<Workerd | undefined> {
  const folder = await install("workerd@1.20261117.1");
  if (folder === undefined) return undefined;
  await bundle(TARGETS.edge, folder.path);
  for (const name of KERNELS) {
    await Deno.copyFile(new URL(`wasm/${name}`, ROOT), `${folder.path}/${name}`);
  }
  return folder;
}

/** A worker that runs. */
export interface RunningWorker extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
}

/** What a worker consists of beside the bundle and the kernels. */
export interface WorkerParts {
  /** Sources of its modules by name, the main one first; they import `./edge.js` and the kernels. */
  readonly sources: Readonly<Record<string, string>>;
  /** Files that it imports as array buffers, by name. */
  readonly data?: Readonly<Record<string, Uint8Array>>;
  /** Folder behind the binding `ASSETS`. */
  readonly assets?: string;
  /** Name of the class whose objects are bound as `STUDIO`. */
  readonly durableObject?: string;
}

/** Starts a worker with the memory that it would have at Cloudflare. */
export async function startWorker(
  { path }: Workerd,
  parts: WorkerParts,
): Promise<RunningWorker> {
  const folder = await Deno.makeTempDir({ dir: path });
  for (const name of ["edge.js", ...KERNELS]) {
    await Deno.copyFile(`${path}/${name}`, `${folder}/${name}`);
  }
  for (const [name, source] of Object.entries(parts.sources)) {
    await Deno.writeTextFile(`${folder}/${name}`, source);
  }
  for (const [i, bytes] of Object.values(parts.data ?? {}).entries()) {
    await Deno.writeFile(`${folder}/${i}.bin`, bytes);
  }
  await Deno.writeTextFile(`${folder}/config.capnp`, configOf(parts));
  const child = new Deno.Command(await binaryIn(path), {
    args: ["serve", "--control-fd=1", "config.capnp"],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const port = await portOf(child.stdout);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      // It would wait for what clients have left behind.
      child.kill("SIGKILL");
      await child.status;
      await child.stdout.cancel().catch(() => {});
    },
  };
}

/** The program itself: the script of the package starts it as a child, which would stay when that is killed. */
async function binaryIn(path: string): Promise<string> {
  const folder = `${path}/node_modules/@cloudflare`;
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith("workerd-")) return `${folder}/${name}/bin/workerd`;
  }
  throw new Error(`no workerd in ${folder}`);
}

function configOf({ sources, data = {}, assets, durableObject }: WorkerParts): string {
  const text = JSON.stringify;
  const modules = [
    ...[...Object.keys(sources), "edge.js"].map((name) =>
      `(name = ${text(name)}, esModule = embed ${text(name)})`
    ),
    ...KERNELS.map((name) => `(name = ${text(name)}, wasm = embed ${text(name)})`),
    ...Object.keys(data).map((name, i) => `(name = ${text(name)}, data = embed "${i}.bin")`),
  ];
  const services = [`(name = "main", worker = .worker)`];
  if (assets !== undefined) services.push(`(name = "assets", disk = ${text(assets)})`);
  const bindings = assets === undefined ? [] : [`(name = "ASSETS", service = "assets")`];
  let objects = "";
  if (durableObject !== undefined) {
    bindings.push(`(name = "STUDIO", durableObjectNamespace = ${text(durableObject)})`);
    objects = `
  durableObjectNamespaces = [ (className = ${text(durableObject)}, uniqueKey = "studio") ],
  durableObjectStorage = (inMemory = void),`;
  }
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ ${services.join(", ")} ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ],
  v8Flags = ${text(V8_FLAGS)},
);
const worker :Workerd.Worker = (
  modules = [ ${modules.join(", ")} ],
  bindings = [ ${bindings.join(", ")} ],${objects}
  compatibilityDate = "2025-09-01",
);
`;
}

/** The port that workerd writes when it listens. */
async function portOf(stdout: ReadableStream<Uint8Array>): Promise<number> {
  const reader = stdout.getReader();
  const decoder = new TextDecoder();
  try {
    for (let text = "";;) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`workerd ended: ${text}`);
      text += decoder.decode(value, { stream: true });
      const match = /"event":"listen".*"port":(\d+)/.exec(text);
      if (match) return Number(match[1]);
    }
  } finally {
    reader.releaseLock();
  }
}
