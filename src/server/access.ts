/**
 * Who may use the service.
 *
 * @module
 */

import { decodeBase64 } from "../base/base64.ts";
import { RequestError } from "./request_error.ts";

/** Checks bearer tokens. */
export class TokenCheck {
  readonly #digests: Promise<Uint8Array[]> | undefined;

  /** @param tokens The tokens that are right; undefined if none is needed. */
  constructor(tokens: readonly string[] | undefined) {
    this.#digests = tokens && Promise.all(tokens.map(digest));
  }

  /**
   * Names the client by its token: the number of it; undefined if none is needed.
   *
   * @throws {RequestError} If there is none, or it is wrong.
   */
  async clientOf(request: Request): Promise<string | undefined> {
    if (this.#digests === undefined) return undefined;
    const token = tokenOf(request.headers.get("authorization") ?? "");
    if (token === undefined) throw refusal("There is no bearer token, expected one");
    const given = await digest(token);
    // All are compared to their ends: how long it takes says nothing about any.
    const equal = (await this.#digests).map((right) => differences(right, given) === 0);
    if (!equal.includes(true)) throw refusal("The bearer token is wrong");
    return `token ${equal.indexOf(true)}`;
  }
}

/**
 * Refuses what a page of another site has made a browser send, which would need no permission otherwise.
 *
 * @param allowOrigin Origin whose pages may, `"*"` for all; undefined for none.
 * @throws {RequestError} If it is such a request.
 */
export function refuseOtherSites(request: Request, allowOrigin: string | undefined): void {
  if (allowOrigin === "*" || !isOfOtherSite(request, allowOrigin)) return;
  throw new RequestError(403, "The request comes from a page of another origin");
}

function isOfOtherSite({ headers, url }: Request, allowOrigin: string | undefined): boolean {
  const [origin, site] = [headers.get("origin"), headers.get("sec-fetch-site")];
  // It is right also behind a proxy that asks by another name.
  if (site === "same-origin") return false;
  if (origin !== null && origin === allowOrigin) return false;
  if (site === "cross-site" || site === "same-site") return true;
  // Browsers do not tell the site to other machines without https; programs tell neither.
  if (origin === null) return false;
  const [forwarded] = (headers.get("x-forwarded-host") ?? "").split(/\s*,/);
  // Of "null", such as of files and sandboxes, nothing is known.
  const host = URL.canParse(origin) ? new URL(origin).host : "";
  return host === "" || host !== new URL(url).host && host !== forwarded;
}

/**
 * The token of a header: that of a bearer or, for clients that know nothing else, the password of HTTP's
 * basic authentication, whatever the name. It is not asked for: browsers would ask their users.
 */
function tokenOf(header: string): string | undefined {
  const [, scheme, text] = /^(Bearer|Basic) +(\S+) *$/i.exec(header) ?? [];
  if (scheme?.toLowerCase() !== "basic") return text;
  try {
    const pair = new TextDecoder().decode(decodeBase64(text!));
    return pair.slice(pair.indexOf(":") + 1);
  } catch {
    return undefined;
  }
}

function refusal(message: string): RequestError {
  return new RequestError(401, message, { "www-authenticate": "Bearer" });
}

async function digest(token: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
}

/** Bits in which two arrays of one length differ, all of them looked at. */
function differences(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((bits, byte, i) => bits | (byte ^ b[i]!), 0);
}
