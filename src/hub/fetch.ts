/**
 * Requests to the hub: redirects are followed by hand, so that a token goes to the hub only.
 *
 * @module
 */

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

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
  return async (input, init = {}) => {
    let url = new URL(input instanceof Request ? input.url : input);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const headers = new Headers(init.headers);
      if (token !== undefined && url.origin === endpoint.origin) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const response = await fetch(url, { ...init, headers, redirect: "manual" });
      // Browsers hide where a redirect leads. They drop the token themselves when it leads elsewhere.
      if (response.type === "opaqueredirect") return await fetch(url, { ...init, headers });
      const location = response.headers.get("location");
      if (!REDIRECTS.has(response.status) || location === null) return response;
      const next = new URL(location, url);
      if (init.method === "HEAD" && next.origin !== endpoint.origin) return response;
      await response.body?.cancel();
      url = next;
    }
    throw new TypeError(`the hub redirects more than ${MAX_REDIRECTS} times`);
  };
}
