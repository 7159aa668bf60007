// `deno task page`: makes src/server/page_files.ts of page/.

import { runScript } from "./script.ts";

const ROOT = new URL("../", import.meta.url);
const TARGET = new URL("src/server/page_files.ts", ROOT);

/** Files that are taken as they are, by their paths on the server: source and media type. */
const FILES: Readonly<Record<string, readonly [source: string, type: string]>> = {
  "/": ["page/index.html", "text/html; charset=utf-8"],
  "/page.css": ["page/style.css", "text/css; charset=utf-8"],
  "/icon.svg": ["page/icon.svg", "image/svg+xml"],
};

/** Programs, by their paths on the server. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "/page.js": "page/main.tsx",
  "/drawer.js": "page/drawer.ts",
};

/** Bundles a program of the page. */
async function bundle(source: string): Promise<string> {
  const options = ["--quiet", "--platform", "browser", "--minify"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", ...options, source],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(`Cannot bundle: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The text of the module. */
async function makeModule(): Promise<string> {
  const files: Record<string, { type: string; text: string }> = {};
  for (const [path, [source, type]] of Object.entries(FILES)) {
    files[path] = { type, text: await Deno.readTextFile(new URL(source, ROOT)) };
  }
  for (const [path, source] of Object.entries(PROGRAMS)) {
    files[path] = { type: "text/javascript; charset=utf-8", text: await bundle(source) };
  }
  const entries = Object.entries(files).map(([path, file]) => {
    return `  ${JSON.stringify(path)}: ${JSON.stringify(file)},\n`;
  });
  return `// deno-fmt-ignore-file
/**
 * The files of the page by their paths on the server. Made of page/ by \`deno task page\`.
 *
 * @module
 */

/** Media types and texts by paths. */
export const PAGE_FILES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
${entries.join("")}};
`;
}

const USAGE = `Makes src/server/page_files.ts, the page of deno task serve, of page/.

Usage: deno task page [--check]

  --check  Write nothing, and fail if the file is another one`;

if (import.meta.main) {
  await runScript({
    usage: USAGE,
    options: { check: { type: "boolean" } },
    run: async ({ values }) => {
      const text = await makeModule();
      if (!values.check) return await Deno.writeTextFile(TARGET, text);
      if (await Deno.readTextFile(TARGET) === text) return;
      console.error("src/server/page_files.ts is not what page/ makes: run `deno task page`");
      Deno.exit(1);
    },
  });
}
