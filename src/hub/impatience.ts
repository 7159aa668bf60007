/**
 * How long to wait for a server whose place a cache can take.
 *
 * @module
 */

import type { HttpOptions } from "../files/http.ts";

/** Milliseconds without an answer, and new tries. */
const IMPATIENCE = { stallTimeout: 4000, retries: 1 };

/** Options with less patience, unless they have little already. */
export function impatient(options: HttpOptions): HttpOptions {
  const { stallTimeout = Infinity, retries = Infinity } = options;
  return {
    ...options,
    stallTimeout: Math.min(stallTimeout, IMPATIENCE.stallTimeout),
    retries: Math.min(retries, IMPATIENCE.retries),
  };
}
