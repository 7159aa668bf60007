// Serves the page, its bundle and the model:
//
//     deno bundle --platform browser --minify --code-splitting --outdir out/page examples/page/index.html
//     deno serve --allow-read=out/page,weights examples/page/server.ts
//
// Then open http://localhost:8000/

const BUNDLE = new URL("../../out/page/", import.meta.url);
const WEIGHTS = new URL("../../weights/", import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  json: "application/json",
};

// With these a page may share memory between threads.
const ISOLATION = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** Makes a function that answers requests with the files of the page, from the folder of its bundle. */
export function pageHandler(bundle: URL): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    // Without escapes a path cannot lead out of its folder: the URL has resolved all "..".
    if (/[^\w./-]/.test(pathname)) return new Response("Not found", { status: 404 });
    const file = pathname.startsWith("/weights/")
      ? new URL(pathname.replace("/weights/", "./"), WEIGHTS)
      : new URL(`.${pathname === "/" ? "/index.html" : pathname}`, bundle);
    try {
      const type = TYPES[file.pathname.split(".").at(-1)!] ?? "application/octet-stream";
      const headers = { ...ISOLATION, "content-type": type };
      return new Response(await Deno.readFile(file), { headers });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return new Response("Not found", { status: 404 });
    }
  };
}

export default { fetch: pageHandler(BUNDLE) };
