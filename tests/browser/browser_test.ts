// The library in a browser: a bundle, on a page that loads a model over HTTP.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TrainableModel } from "../../src/training/trainable_model.ts";
import { Trainer } from "../../src/training/trainer.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import {
  type Browser,
  bundle,
  findBrowser,
  type PageResult,
  servePage,
  visit,
} from "./browsers.ts";

/** What comes of drawing. */
interface DrawnResult extends PageResult {
  readonly isolated: boolean;
  /** Workers that were started, if one was to end silently. */
  readonly workers?: number;
  readonly tokens: number[];
  readonly pixels: number[];
  readonly png: number[];
}

/** What comes of training. */
interface TrainedResult extends PageResult {
  readonly losses: number[];
}

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
    name: `the library gives the same in ${name} as in Deno`,
    ignore: browser === undefined,
    fn: async (t) => {
      await using folder = await temporaryFolder();
      await bundle(folder.path);
      for (const { name: step, ...setting } of CASES) {
        // Firefox has WebGPU on a real GPU only.
        const ignore = name === "firefox" && setting.device === "webgpu";
        await t.step({ name: step, ignore, fn: () => compare(browser!, folder.path, setting) });
      }
      await t.step({
        name: "training on WebGPU",
        ignore: name === "firefox",
        fn: () => compareTraining(browser!, folder.path),
      });
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
  const page = { page: "drawing.html", bundle, model: tinyFiles(), isolated };
  await using server = servePage<DrawnResult>(page);
  const url = withQuery(server.url, { device, dyingJob, threads: 2, prompt, options });
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

async function compareTraining(browser: Browser, bundle: string): Promise<void> {
  const examples = ["a red car", "a tree"].map((caption, i) => ({
    caption,
    tokens: Array.from({ length: 64 }, (_, pixel) => (i + 3) * pixel % 64),
  }));
  // The loss of the second step tells of the gradients of the first.
  const options = { steps: 2, batch: 2, seed: 3 };
  const page = { page: "training.html", bundle, model: tinyFiles() };
  await using server = servePage<TrainedResult>(page);
  const url = withQuery(server.url, { device: "webgpu", examples, options });
  const actual = await visit(browser, url, server.result, true);
  assertEquals(actual.error, undefined);
  assertEquals([actual.device.type, actual.losses.length], ["webgpu", 2]);

  await using model = await TrainableModel.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
  });
  const tokens = examples.map(({ tokens, ...example }) => {
    return { ...example, tokens: Int32Array.from(tokens) };
  });
  using trainer = await Trainer.create(model, tokens, options);
  while (trainer.history.length < 2) await trainer.step();
  const losses = trainer.history.map(({ loss }) => loss);
  // Rounding differs; what it makes of the first steps is small beside the loss.
  assertClose(actual.losses, losses, { absolute: 0, relative: 1e-3 }, "losses");
}

/** A URL with values as JSON. */
function withQuery(address: URL, values: Readonly<Record<string, unknown>>): URL {
  const url = new URL(address);
  for (const [key, value] of Object.entries(values)) {
    url.searchParams.set(key, JSON.stringify(value));
  }
  return url;
}
