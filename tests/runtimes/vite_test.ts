// The page of examples/page/ with the npm package, built by Vite, in browsers.

import { assert, assertEquals } from "@std/assert";
import { pageHandler } from "../../examples/page/server.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { findBrowser } from "../browser/browsers.ts";
import { drawOnPage } from "../browser/example_page.ts";
import { installPackage } from "./npm_archive.ts";
import { installRuntimes, outputOf } from "./runtimes.ts";
import vqvae from "../../weights/vqvae/config.json" with { type: "json" };

const PAGE = new URL("../../examples/page/", import.meta.url);

/** As docs/runtimes.md has it. */
const CONFIG = `export default { worker: { format: "es" } };`;

const browsers = (["chromium", "firefox"] as const).map(findBrowser)
  .filter((browser) => browser !== undefined);

Deno.test({
  name: "the npm package draws on a page that Vite has built",
  ignore: browsers.length === 0,
  async fn(t) {
    await using runtimes = await installRuntimes("node22");
    await using app = runtimes && await installPackage("vite@7.3.1");
    if (app === undefined) return;
    for (const name of ["index.html", "page.js", "worker.js"]) {
      const text = await Deno.readTextFile(new URL(name, PAGE));
      const own = text.replace("./lib/mod.js", "@vq-diffusion/vq-diffusion");
      await Deno.writeTextFile(`${app.path}/${name}`, own);
    }
    await Deno.writeTextFile(`${app.path}/vite.config.js`, CONFIG);
    const vite = `${app.path}/node_modules/vite/bin/vite.js`;
    await outputOf(runtimes!.program("node22"), [vite, "build"], { cwd: app.path });

    const answer = pageHandler({ "/": new URL(`file://${app.path}/dist/`) });
    for (const browser of browsers) {
      await t.step(browser.name, async () => {
        const { text, png } = await drawOnPage(browser, answer);
        assert(text.startsWith("Drawn on Wasm"), text);
        const { width, height } = await RasterImage.decode(png);
        assertEquals([width, height], [vqvae.sample_size, vqvae.sample_size]);
      });
    }
  },
});
