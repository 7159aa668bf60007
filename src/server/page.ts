/**
 * The page at `/`: files that `deno task page` makes of page/.
 *
 * @module
 */

import { PAGE_FILES } from "./page_files.ts";

/**
 * The page may load its own files, ask its own server, show pictures it has made, compute, and nothing
 * else: kernels are compiled, and threads come from a script without a file.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Headers of all that the page loads. */
export const PAGE_HEADERS = {
  "content-security-policy": POLICY,
  "cache-control": "no-cache",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Paths of the files. */
export const PAGE_PATHS: readonly string[] = Object.keys(PAGE_FILES);

/** Answers with a file of the page. */
export function pageAnswer(path: string): Response {
  const { type, text } = PAGE_FILES[path]!;
  return new Response(text, { headers: { ...PAGE_HEADERS, "content-type": type } });
}
