// Pages in headless browsers, and a server that gives them the library and a model.

import { bundle as bundleTarget } from "../../tools/bundle/build.ts";
import { TARGETS } from "../../tools/bundle/targets.ts";
import { letNextWorkerDie } from "../backends/dying_worker.ts";
import { fileResponse } from "../files/file_server.ts";
import type { Files } from "../pipeline/golden_runs.ts";

/** Longest that a page may take: compiling shaders for the CPU is slow. */
const PATIENCE = 180_000;

/** What all pages post. */
export interface PageResult {
  readonly error?: string;
  readonly device: { readonly type: string; readonly threads: number; readonly reason: string };
}

/** A browser that is installed. */
export interface Browser {
  /** Its name. */
  readonly name: "chromium" | "firefox";
  /** Path of its program. */
  readonly path: string;
}

/** Names of the programs of a browser. */
const PROGRAMS = {
  chromium: ["chromium", "chromium-browser", "google-chrome"],
  firefox: ["firefox", "firefox-esr"],
} as const;

const CHROMIUM_OPTIONS = [
  "--headless=new",
  // Chromium refuses to run as root, as in containers, with its sandbox.
  "--no-sandbox",
  "--no-first-run",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
];

/** WebGPU on the CPU, also where Chromium would rather have none. */
const CHROMIUM_WEBGPU = [
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--use-webgpu-adapter=swiftshader",
];

/** Settings of Firefox: it asks nothing, and nobody but the page's server. */
const FIREFOX_SETTINGS = {
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.systemAddon.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,",
  "toolkit.telemetry.server": "data:,",
  "trailhead.firstrun.didSeeAboutWelcome": true,
};

/** A browser, or undefined if it is not installed. */
export function findBrowser(name: Browser["name"]): Browser | undefined {
  const folders = Deno.env.get("PATH")?.split(":") ?? [];
  const path = folders.flatMap((folder) => PROGRAMS[name].map((program) => `${folder}/${program}`))
    .find(isFile);
  return path === undefined ? undefined : { name, path };
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

/** What a page is served with. */
export interface ServedPage {
  /** Name of its file in this folder. */
  readonly page: string;
  /** Folder of the bundle. */
  readonly bundle: string;
  readonly model: Files;
  /** Whether the page may share memory with workers. Default: not. */
  readonly isolated?: boolean;
}

/** Serves a page at `/`, which posts a `T`, the bundle in `/browser/` and a model in `/model/`. */
export function servePage<T extends PageResult>(
  { page, bundle, model, isolated = false }: ServedPage,
) {
  const result = Promise.withResolvers<T>();
  const headers = new Headers({ "content-type": "text/html" });
  if (isolated) {
    headers.set("cross-origin-opener-policy", "same-origin");
    headers.set("cross-origin-embedder-policy", "require-corp");
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
      return new Response(await Deno.readFile(new URL(page, import.meta.url)), { headers });
    }
    const script = { headers: { "content-type": "text/javascript" } };
    if (pathname === "/dying_worker.js") return new Response(`export ${letNextWorkerDie}`, script);
    if (folder === "browser") {
      return new Response(await Deno.readFile(`${bundle}/${path}`), script);
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

/**
 * Opens a page and waits for what it comes to.
 *
 * @param webgpu Whether there is to be WebGPU, which only Chromium has without a GPU.
 */
export async function visit<T>(
  browser: Browser,
  url: URL,
  result: Promise<T>,
  webgpu = false,
): Promise<T> {
  const profile = await Deno.makeTempDir();
  const child = await start(browser, url, profile, webgpu);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Nothing came of ${url}`)), PATIENCE);
  const ended = child.status.then(({ code }) => {
    throw new Error(`${browser.name} ended with code ${code}`);
  });
  ended.catch(() => {});
  try {
    return await Promise.race([result, late.promise, ended]);
  } finally {
    clearTimeout(timer);
    child.kill("SIGTERM");
    await child.status;
    await removeFolder(profile);
  }
}

async function start(
  { name, path }: Browser,
  url: URL,
  profile: string,
  webgpu: boolean,
): Promise<Deno.ChildProcess> {
  const nothing = { stdin: "null", stdout: "null", stderr: "null" } as const;
  if (name === "chromium") {
    const args = [...CHROMIUM_OPTIONS, `--user-data-dir=${profile}`];
    if (webgpu) args.push(...CHROMIUM_WEBGPU);
    return new Deno.Command(path, { args: [...args, url.href], ...nothing }).spawn();
  }
  const settings = Object.entries(FIREFOX_SETTINGS).map(([key, value]) =>
    `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`
  );
  await Deno.writeTextFile(`${profile}/user.js`, settings.join(""));
  const args = ["--headless", "--no-remote", "--profile", profile, url.href];
  return new Deno.Command(path, { args, env: { HOME: profile }, ...nothing }).spawn();
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
