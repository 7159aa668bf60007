/**
 * Redirects of servers, which may not lead just anywhere.
 *
 * @module
 */

import { describeUrl } from "./paths.ts";

/** Most redirects that one request follows. */
const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** What a chain of redirects asks of its caller. */
export interface RedirectRules {
  /** What errors call the server. Default: its name. */
  readonly server?: string;
  /** Changes the headers of each request, such as to add a token. */
  readonly headers?: (headers: Headers, url: URL) => void;
  /** Whether an answer that redirects is the result itself. Default: never. */
  readonly stopsAt?: (next: URL) => boolean;
}

/**
 * A `fetch` that follows redirects by hand, to http and https only and never from https to http: a server
 * must not have this program read its own files or send what was secret in the open.
 *
 * @param fetch What makes the requests.
 */
export function followingRedirects(
  fetch: typeof globalThis.fetch,
  { server, headers: change, stopsAt = () => false }: RedirectRules = {},
): typeof globalThis.fetch {
  return async (input, init = {}) => {
    let url = new URL(input instanceof Request ? input.url : input);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const headers = new Headers(init.headers);
      change?.(headers, url);
      const response = await fetch(url, { ...init, headers, redirect: "manual" });
      // Browsers hide where a redirect leads. They follow none to files, and drop a token themselves when
      // it leads elsewhere.
      if (response.type === "opaqueredirect") return await fetch(url, { ...init, headers });
      const location = response.headers.get("location");
      if (!REDIRECTS.has(response.status) || location === null) return response;
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
      if (next !== undefined && stopsAt(next)) return response;
      await response.body?.cancel();
      url = checkedTarget(url, next);
    }
    throw new RedirectError(`${server ?? url.host} redirects more than ${MAX_REDIRECTS} times`);
  };
}

/** A server redirects where it must not. To ask again would not help. */
export class RedirectError extends TypeError {
  /** Always `"RedirectError"`. */
  override readonly name = "RedirectError";
}

function checkedTarget(from: URL, to: URL | undefined): URL {
  const isHttp = to?.protocol === "https:" ||
    to?.protocol === "http:" && from.protocol !== "https:";
  if (to !== undefined && isHttp) return to;
  const target = to === undefined
    ? "no URL"
    : /^https?:$/.test(to.protocol)
    ? describeUrl(to)
    : `a ${to.protocol.slice(0, 20)} URL`;
  const expected = from.protocol === "https:" ? "https" : "http or https";
  throw new RedirectError(`${describeUrl(from)} redirects to ${target}, expected ${expected}`);
}
