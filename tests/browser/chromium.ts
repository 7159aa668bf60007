// Pages in a headless Chromium, and a server that gives them the library and a model.

import { bundle as bundleTarget } from "../../tools/bundle/build.ts";
import { TARGETS } from "../../tools/bundle/targets.ts";
import { fileResponse } from "../files/file_server.ts";
import type { Files } from "../pipeline/golden_runs.ts";

/** WebGPU on the CPU, also where Chromium would rather have none. */
const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--use-webgpu-adapter=swiftshader",
];
/** Longest that a page may take: compiling shaders for the CPU is slow. */
const PATIENCE = 180_000;

/** What the page posts. */
export interface PageResult {
  readonly error?: string;
  readonly isolated: boolean;
  readonly device: { readonly type: string; readonly threads: number; readonly reason: string };
  readonly tokens: number[];
  readonly pixels: number[];
  readonly png: number[];
}

/** Path of Chromium, or undefined if there is none. */
export function findChromium(): string | undefined {
  const folders = Deno.env.get("PATH")?.split(":") ?? [];
  const names = ["chromium", "chromium-browser", "google-chrome"];
  return folders.flatMap((folder) => names.map((name) => `${folder}/${name}`)).find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Bundles the library for browsers, as `deno task bundle` does. */
export async function bundle(folder: string): Promise<void> {
  await bundleTarget(TARGETS.browser, folder);
}

/**
 * Serves the page at `/`, the bundle in `/browser/` and a model in `/model/`.
 *
 * @param isolated Whether the page may share memory with workers.
 */
export function servePage(bundle: string, model: Files, isolated: boolean) {
  const result = Promise.withResolvers<PageResult>();
  const page = new Headers({ "content-type": "text/html" });
  if (isolated) {
    page.set("cross-origin-opener-policy", "same-origin");
    page.set("cross-origin-embedder-policy", "require-corp");
  }
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const [, folder, ...rest] = pathname.split("/");
    const path = rest.join("/");
    if (pathname === "/result") {
      result.resolve(await request.json());
      return new Response();
    }
    if (pathname === "/") {
      return new Response(await Deno.readFile(new URL("page.html", import.meta.url)), {
        headers: page,
      });
    }
    if (folder === "browser") {
      const headers = { "content-type": "text/javascript" };
      return new Response(await Deno.readFile(`${bundle}/${path}`), { headers });
    }
    const file = folder === "model" ? model[path] : undefined;
    if (file) return fileResponse(file, request.headers.get("range"));
    return new Response("none", { status: 404 });
  };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);
  return {
    url: new URL(`http://127.0.0.1:${server.addr.port}/`),
    result: result.promise,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Opens a page and waits for what it comes to. */
export async function visit<T>(
  chromium: string,
  url: URL,
  result: Promise<T>,
  webgpu: boolean,
): Promise<T> {
  const profile = await Deno.makeTempDir();
  const browser = new Deno.Command(chromium, {
    args: [
      "--headless=new",
      // Chromium refuses to run as root, as in containers, with its sandbox.
      "--no-sandbox",
      "--no-first-run",
      "--disable-dev-shm-usage",
      `--user-data-dir=${profile}`,
      ...(webgpu ? WEBGPU : []),
      url.href,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Nothing came of ${url}`)), PATIENCE);
  const ended = browser.status.then(({ code }) => {
    throw new Error(`Chromium ended with code ${code}`);
  });
  ended.catch(() => {});
  try {
    return await Promise.race([result, late.promise, ended]);
  } finally {
    clearTimeout(timer);
    browser.kill("SIGTERM");
    await browser.status;
    await removeFolder(profile);
  }
}

/** Removes a folder that processes which are about to end may still write to. */
async function removeFolder(path: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(path, { recursive: true });
    } catch (error) {
      if (attempt === 10) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
