// Draws on the page of examples/page/ as a person would.

import { type Browser, visit } from "./browsers.ts";

/** What the page shows in the end. */
export interface DrawnPage {
  /** What it says. */
  readonly text: string;
  /** Its picture. */
  readonly png: Uint8Array;
}

/** Asks for two steps, and posts what came of it. */
const VISITOR = `
const output = document.querySelector("output");
new MutationObserver(async () => {
  if (/^(Loading|Step)/.test(output.textContent)) return;
  const canvas = document.querySelector("canvas");
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const png = [...new Uint8Array(await blob.arrayBuffer())];
  await fetch("/result", { method: "POST", body: JSON.stringify({ text: output.textContent, png }) });
}).observe(output, { childList: true });
document.querySelector("input[name=steps]").value = "2";
document.querySelector("form").requestSubmit();
`;

/** @param answer Serves the page. */
export async function drawOnPage(
  browser: Browser,
  answer: (request: Request) => Promise<Response>,
): Promise<DrawnPage> {
  const body = await usePage(browser, answer, VISITOR);
  const { text, png } = await body.json();
  return { text, png: Uint8Array.from(png) };
}

/**
 * Opens a page with one more script.
 *
 * @param answer Serves the page.
 * @param visitor The script, which uses the page and posts what comes of it to `/result`.
 * @returns What it posts.
 */
export async function usePage(
  browser: Browser,
  answer: (request: Request) => Promise<Response>,
  visitor: string,
): Promise<Response> {
  const result = Promise.withResolvers<Response>();
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  await using server = Deno.serve(options, async (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/result": {
        const headers = { "content-type": request.headers.get("content-type") ?? "" };
        result.resolve(new Response(await request.arrayBuffer(), { headers }));
        return new Response();
      }
      case "/visitor.js":
        return new Response(visitor, { headers: { "content-type": "text/javascript" } });
      case "/": {
        const { body, headers } = await answer(request);
        const page = await new Response(body).text();
        return new Response(`${page}<script type="module" src="/visitor.js"></script>`, {
          headers,
        });
      }
      default:
        return await answer(request);
    }
  });
  const url = new URL(`http://127.0.0.1:${server.addr.port}/`);
  return await visit(browser, url, result.promise);
}
