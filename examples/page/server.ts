// Serves the page, the bundle of the library and the model:
//
//     deno task bundle
//     deno serve --allow-read=examples/page,out/browser,weights examples/page/server.ts
//
// Then open http://localhost:8000/

/** Folders behind the paths that begin so; the first that fits counts. */
const FOLDERS = {
  "/lib/": new URL("../../out/browser/", import.meta.url),
  "/weights/": new URL("../../weights/", import.meta.url),
  "/": new URL("./", import.meta.url),
};

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  json: "application/json",
};

const HEADERS = {
  // With these a page may share memory between threads.
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  // Nothing comes from elsewhere. Kernels are compiled, and threads come from a script without a file.
  "content-security-policy": [
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'",
  ].join("; "),
};

/** Makes a function that answers requests with files, by the folders behind their paths. */
export function pageHandler(
  folders: Readonly<Record<string, URL>> = {},
): (request: Request) => Promise<Response> {
  const all = Object.entries({ ...FOLDERS, ...folders });
  return async (request) => {
    const { pathname } = new URL(request.url);
    const notFound = () => new Response("Not found", { status: 404 });
    // Without escapes a path cannot lead out of its folder: the URL has resolved all "..".
    if (/[^\w./-]/.test(pathname)) return notFound();
    const [path, folder] = all.find(([path]) => pathname.startsWith(path))!;
    const file = new URL(`./${pathname.slice(path.length) || "index.html"}`, folder);
    try {
      const type = TYPES[file.pathname.split(".").at(-1)!] ?? "application/octet-stream";
      const headers = { ...HEADERS, "content-type": type };
      return new Response(await Deno.readFile(file), { headers });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) {
        return notFound();
      }
      throw error;
    }
  };
}

export default { fetch: pageHandler() };
