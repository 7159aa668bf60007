/**
 * A server of files in memory, with faults on demand.
 *
 * @module
 */

/** What a request is answered with instead of the file, or undefined for the file itself. */
export type Fault = (
  request: Request,
  path: string,
) => Response | undefined | Promise<Response | undefined>;

/** A running server. */
export interface FileServer extends AsyncDisposable {
  /** Where it is. */
  readonly url: URL;
  /** Every request so far: method, path and range. */
  readonly log: string[];
}

/** Serves files; `ranges` says whether parts can be asked for. */
export function serveFiles(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>,
  { ranges = true, fault }: { ranges?: boolean; fault?: Fault } = {},
): FileServer {
  const log: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const path = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const range = request.headers.get("range");
    log.push(`${request.method} ${path}${range ? ` ${range}` : ""}`);
    const answer = await fault?.(request, path);
    if (answer) return answer;
    const content = files[path];
    if (content === undefined) return new Response("none", { status: 404 });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return fileResponse(bytes, ranges ? range : null);
  });
  return {
    url: new URL(`http://127.0.0.1:${server.addr.port}/`),
    log,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The answer of a file server to a request with this range. */
export function fileResponse(
  bytes: Uint8Array<ArrayBuffer>,
  range: string | null,
  headers: Record<string, string> = {},
): Response {
  const match = range?.match(/^bytes=(\d+)-(\d*)$/);
  if (!match) {
    return new Response(bytes, { headers: { "content-length": `${bytes.length}`, ...headers } });
  }
  const begin = Number(match[1]);
  if (begin >= bytes.length) {
    headers = { ...headers, "content-range": `bytes */${bytes.length}` };
    return new Response(null, { status: 416, headers });
  }
  const end = Math.min(match[2] ? Number(match[2]) + 1 : Infinity, bytes.length);
  headers = { ...headers, "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` };
  return new Response(bytes.slice(begin, end), { status: 206, headers });
}

/** An answer that promises all bytes and breaks off after some of them. */
export function brokenResponse(
  bytes: Uint8Array<ArrayBuffer>,
  sent: number,
  init: ResponseInit = {},
): Response {
  let given = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!given) {
        given = true;
        return controller.enqueue(bytes.slice(0, sent));
      }
      // Lets what was sent arrive before the connection breaks, as fewer bytes than promised came.
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.close();
    },
  });
  const headers = new Headers(init.headers);
  headers.set("content-length", `${bytes.length}`);
  return new Response(body, { ...init, headers });
}
