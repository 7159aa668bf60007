// Sizes and contents of the bundles that `deno task bundle` makes.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RasterImage as OwnImage } from "../../src/images/raster_image.ts";
import { bundle } from "../../tools/bundle/build.ts";
import { TARGETS } from "../../tools/bundle/targets.ts";
import { countWorkers } from "../counted_workers.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";

/** Most bytes of JavaScript in each, before compression. */
const MOST_BYTES = { edge: 424_000, browser: 712_000, node: 1_450_000 } as const;

for (const [name, most] of Object.entries(MOST_BYTES)) {
  Deno.test(`the bundle ${name} has at most ${most / 1000} kB, and imports nothing from outside`, async () => {
    await using folder = await temporaryFolder();
    await bundle(TARGETS[name as keyof typeof MOST_BYTES], folder.path);
    let bytes = 0;
    for await (const { name } of Deno.readDir(folder.path)) {
      if (!name.endsWith(".js")) continue;
      const code = await Deno.readTextFile(`${folder.path}/${name}`);
      bytes += new TextEncoder().encode(code).length;
      const specifiers = code.matchAll(/^\s*(?:import|export)\b[^"';]*?from\s*"([^"]+)"/gm);
      const outside = Array.from(specifiers, ([, specifier]) => specifier!)
        .filter((specifier) => !specifier.startsWith("./"));
      assertEquals(outside, []);
      assertEquals(/(?:^|[;{}])\s*(?:await )?using [\w$]+ ?=/m.test(code), false);
    }
    assert(bytes > 100_000 && bytes <= most, `${bytes} bytes`);
  });
}

Deno.test("the bundle for edge workers says what it has no code for", async () => {
  await using folder = await temporaryFolder();
  await bundle(TARGETS.edge, folder.path);
  const { memoryFolder, VQDiffusionPipeline } = await import(`file://${folder.path}/edge.js`);
  const load = (source: string) => VQDiffusionPipeline.fromPretrained(source, { device: "wasm" });
  await assertRejects(() => load("microsoft/vq-diffusion-ithq"), TypeError, "a model of the hub");
  await assertRejects(() => load("./model.pth"), TypeError, "an original checkpoint");
  await assertRejects(() => load("./weights"), TypeError, "a folder on disk");
  await using pipe = await VQDiffusionPipeline.fromPretrained(memoryFolder(tinyFiles()), {
    device: "wasm",
    threads: 2,
  });
  assertEquals(pipe.device.threads, 1);
  assertStringIncludes(pipe.device.reason, "no threads: Cannot use threads: this bundle");
});

Deno.test("the bundle for Node reads and writes small and large JPEG files", async () => {
  await using folder = await temporaryFolder();
  await bundle(TARGETS.node, folder.path);
  const { RasterImage } = await import(`file://${folder.path}/images.js`);
  for (const [side, workers] of [[64, 0], [512, 1]] as const) {
    const image = new RasterImage(new Uint8ClampedArray(4 * side ** 2).fill(200), side, side);
    const expected = await new OwnImage(image.data, side, side).toJpeg();
    let file = new Uint8Array();
    assertEquals(await countWorkers(async () => file = await image.toJpeg()), workers);
    assertEquals(file, expected);
    let read = image;
    assertEquals(await countWorkers(async () => read = await RasterImage.decode(file)), workers);
    assertEquals([read.width, read.height], [side, side]);
  }
});

Deno.test("the bundles for Node and for edge workers have the entries that Deno users import", async () => {
  const { exports } = JSON.parse(await Deno.readTextFile("deno.json"));
  const entries = Object.entries({ ...TARGETS.node.entries, ...TARGETS.edge.entries });
  const expected = entries.map(([name, file]) => [name === "mod" ? "." : `./${name}`, `./${file}`]);
  assertEquals(Object.fromEntries(expected), exports);
});
