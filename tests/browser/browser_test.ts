// The library in a browser: a bundle, on a page that loads a model over HTTP.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { type Browser, bundle, findBrowser, servePage, visit } from "./browsers.ts";

/** Where a page draws, and how. */
interface Case {
  readonly name: string;
  readonly device: "wasm" | "webgpu";
  /** Whether it may share memory with workers. */
  readonly isolated: boolean;
  readonly threads: number;
  readonly steps: number;
  /** The job at which a worker ends silently, the first being 1: after loading. Default: never. */
  readonly dyingJob?: number;
}

const CASES: readonly Case[] = [
  { name: "Wasm with threads", device: "wasm", isolated: true, threads: 2, steps: 10 },
  {
    name: "Wasm with a thread that ends silently",
    device: "wasm",
    isolated: true,
    threads: 2,
    steps: 10,
    dyingJob: 8,
  },
  { name: "Wasm without shared memory", device: "wasm", isolated: false, threads: 1, steps: 10 },
  { name: "WebGPU", device: "webgpu", isolated: false, threads: 1, steps: 3 },
];

for (const name of ["chromium", "firefox"] as const) {
  const browser = findBrowser(name);
  Deno.test({
    name: `VQDiffusionPipeline gives the same in ${name} as in Deno`,
    ignore: browser === undefined,
    fn: async (t) => {
      await using folder = await temporaryFolder();
      await bundle(folder.path);
      for (const { name: step, ...setting } of CASES) {
        // Firefox has WebGPU on a real GPU only.
        const ignore = name === "firefox" && setting.device === "webgpu";
        await t.step({ name: step, ignore, fn: () => compare(browser!, folder.path, setting) });
      }
    },
  });
}

async function compare(
  browser: Browser,
  bundle: string,
  { device, isolated, threads, steps, dyingJob = 0 }: Omit<Case, "name">,
): Promise<void> {
  const prompt = "a red car on the street";
  const options = { numInferenceSteps: steps, truncationRate: 0.9, seed: 3 };
  await using server = servePage(bundle, tinyFiles(), isolated);
  const url = new URL(server.url);
  for (const [key, value] of Object.entries({ device, dyingJob, threads: 2, prompt, options })) {
    url.searchParams.set(key, JSON.stringify(value));
  }
  const actual = await visit(browser, url, server.result, device === "webgpu");
  assertEquals(actual.error, undefined);
  assertEquals(actual.isolated, isolated);
  assertEquals([actual.device.type, actual.device.threads], [device, threads]);
  // Those that were started at first, and those that took their place.
  if (dyingJob > 0) assertEquals(actual.workers, 4);
  if (device === "wasm" && !isolated) assertStringIncludes(actual.device.reason, "no threads: ");

  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
  });
  let tokens: Int32Array | undefined;
  const callback = (_step: number, _timestep: number, latents: Int32Array) =>
    void (tokens = latents);
  const { images: [image] } = await pipe.generate(prompt, { ...options, callback });
  assertEquals(Int32Array.from(actual.tokens), tokens);
  assertEquals(actual.pixels.length, image!.data.length);
  // Colours are rounded to bytes from float32, which a GPU sums in its own order.
  const most = device === "webgpu" ? 1 : 0;
  assert(actual.pixels.every((value, i) => Math.abs(value - image!.data[i]!) <= most));
  const { data } = await RasterImage.decode(Uint8Array.from(actual.png));
  assertEquals([...data], actual.pixels);
}
