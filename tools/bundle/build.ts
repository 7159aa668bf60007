/**
 * Bundles of the library: JavaScript that runtimes without TypeScript and `npm:` specifiers can load.
 *
 * @module
 */

import * as esbuild from "npm:esbuild@0.28.2";
import type { Target } from "./targets.ts";

const ROOT = new URL("../../", import.meta.url);

/** Absolute path of a file of the repository. */
export function pathTo(file: string): string {
  return decodeURIComponent(new URL(file, ROOT).pathname);
}

/** Writes a bundle and its source maps into a folder. */
export async function bundle(
  { entries, engines, minify, splitting, inject, instead, without }: Target,
  folder: string,
): Promise<void> {
  try {
    await esbuild.build({
      entryPoints: Object.entries(entries).map(([out, file]) => ({ in: pathTo(file), out })),
      outdir: folder,
      absWorkingDir: pathTo("."),
      bundle: true,
      format: "esm",
      platform: "browser",
      target: [...engines],
      minify,
      splitting,
      chunkNames: "chunk-[hash]",
      sourcemap: "linked",
      charset: "utf8",
      inject: inject.map(pathTo),
      external: ["node:*"],
      plugins: [npmModules(), replaced(instead), leftOut(without)],
      logLevel: "warning",
    });
  } finally {
    await esbuild.stop();
  }
}

/** Loads `npm:` specifiers: Deno finds them and what they import. */
function npmModules(): esbuild.Plugin {
  return {
    name: "npm-modules",
    setup(build) {
      // One after the other: each may be the first to install Deno's bundler.
      let last: Promise<unknown> = Promise.resolve();
      build.onResolve({ filter: /^npm:/ }, ({ path }) => ({ path, namespace: "npm" }));
      build.onLoad({ filter: /.*/, namespace: "npm" }, async ({ path }) => {
        const contents = last.then(() => npmModule(path));
        last = contents.catch(() => {});
        return { contents: await contents, loader: "js" };
      });
    },
  };
}

/** The source of an npm module, with all that it imports. */
async function npmModule(specifier: string): Promise<string> {
  const entry = await Deno.makeTempFile({ suffix: ".js" });
  try {
    const from = JSON.stringify(specifier);
    // What a module of CommonJS exports is its default export only, which a star leaves out.
    const source =
      `import * as all from ${from}; export default all["default"]; export * from ${from};`;
    await Deno.writeTextFile(entry, source);
    const options = ["--quiet", "--no-lock", "--platform", "browser"];
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", ...options, entry],
    }).output();
    if (!success) throw new Error(`Cannot bundle ${specifier}: ${decode(stderr)}`);
    return decode(stdout);
  } finally {
    await Deno.remove(entry);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Puts modules into the places of others. */
function replaced(modules: Target["instead"]): esbuild.Plugin {
  const replacements = new Map(
    Object.entries(modules).map(([file, other]) => [pathTo(file), pathTo(other)]),
  );
  return {
    name: "replaced",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const other = replacements.get(path);
        if (other === undefined) return undefined;
        return { contents: await Deno.readTextFile(other), loader: "ts" };
      });
    },
  };
}

/** Puts an error into the place of modules that a bundle does without. */
function leftOut(modules: Target["without"]): esbuild.Plugin {
  const reasons = new Map(Object.entries(modules).map(([file, what]) => [pathTo(file), what]));
  return {
    name: "left-out",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const what = reasons.get(path);
        if (what === undefined) return undefined;
        const message = `Cannot use ${what}: this bundle of VQ-Diffusion has no code for it`;
        return { contents: `throw new TypeError(${JSON.stringify(message)});`, loader: "js" };
      });
    },
  };
}
