/**
 * Requests to the hub: redirects are followed by hand, so that a token goes to the hub only.
 *
 * @module
 */

import { followingRedirects } from "../files/redirects.ts";

/**
 * A `fetch` that adds a token to requests to the hub, and to no other server: not to those that the
 * hub redirects to either. HEAD requests are not redirected to other servers, as what the hub itself
 * says of a file is more.
 *
 * @param endpoint URL of the hub.
 * @param fetch What makes the requests.
 */
export function hubFetch(
  endpoint: URL,
  token: string | undefined,
  fetch: typeof globalThis.fetch,
): typeof globalThis.fetch {
  const addToken = (headers: Headers, url: URL) => {
    if (token !== undefined && url.origin === endpoint.origin) {
      headers.set("authorization", `Bearer ${token}`);
    }
  };
  const toOthers = (next: URL) => next.origin !== endpoint.origin;
  const rules = { server: "the hub", headers: addToken };
  const follow = followingRedirects(fetch, rules);
  const followHead = followingRedirects(fetch, { ...rules, stopsAt: toOthers });
  return (input, init) => init?.method === "HEAD" ? followHead(input, init) : follow(input, init);
}
