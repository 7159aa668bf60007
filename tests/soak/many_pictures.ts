/**
 * Memory over many pictures, in each mode: as a program of its own it measures one mode.
 *
 * @module
 */

import { RasterImage } from "../../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { runChild } from "./child.ts";
import { memoryNow } from "./memory.ts";
import type { TrialResult } from "./main.ts";

/** Growth of the memory of a process that is none, in shares. */
const TOLERANCE = 0.02;

/** Ways to use a pipeline: threads, and what is done for one picture. */
const MODES: Readonly<Record<string, readonly [threads: number, draw: Draw]>> = {
  "one thread": [1, generate],
  "two threads": [2, generate],
  "streams to their end": [1, async (pipe) => {
    for await (const { preview } of pipe.stream("a cat", OPTIONS)) await preview();
  }],
  "streams left early": [1, async (pipe) => {
    for await (const { step } of pipe.stream("a cat", OPTIONS)) if (step === 2) break;
  }],
  "streams dropped": [1, async (pipe) => {
    // Nobody ends it: only the collector of garbage finds that it is not wanted any more.
    await pipe.stream("a cat", OPTIONS)[Symbol.asyncIterator]().next();
  }],
  "from a picture, a part repainted": [1, async (pipe) => {
    const side = 32;
    const image = new RasterImage(new Uint8ClampedArray(4 * side ** 2).fill(200), side, side);
    await pipe.generate("a cat", { ...OPTIONS, image, maskImage: image, strength: 0.5 });
  }],
  "PNG files": [1, async (pipe) => {
    const { images } = await pipe.generate("a cat", OPTIONS);
    await RasterImage.decode(await images[0]!.toPng());
  }],
  "pipelines disposed of": [1, async () => {
    await using pipe = await open(1);
    await generate(pipe);
  }],
};

type Draw = (pipe: VQDiffusionPipeline) => Promise<unknown>;

const OPTIONS = { seed: 1, numInferenceSteps: 4 } as const;

function open(threads: number): Promise<VQDiffusionPipeline> {
  return VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { device: "wasm", threads });
}

async function generate(pipe: VQDiffusionPipeline): Promise<void> {
  await pipe.generate("a cat", OPTIONS);
}

/** Pictures after which all code is compiled, and the memory of a process has found its size. */
const WARM_UP = 1000;

/** MiB after the warming up, and after the pictures that count. */
async function measure(mode: string, count: number): Promise<[before: number, after: number]> {
  const [threads, draw] = MODES[mode]!;
  await using pipe = await open(threads);
  for (let i = 0; i < Math.max(count, WARM_UP); i++) await draw(pipe);
  const before = await memoryNow();
  for (let i = 0; i < count; i++) await draw(pipe);
  return [before, await memoryNow()];
}

/** 300 pictures in each mode: by how much the memory of the process grows. */
export async function manyPictures(scale: number): Promise<TrialResult[]> {
  const count = Math.ceil(300 * scale);
  const results: TrialResult[] = [];
  for (const mode of Object.keys(MODES)) {
    const [before, after] = await runChild<[number, number]>(import.meta, mode, String(count));
    const growth = after / before - 1;
    const found = `${before.toFixed(0)} to ${after.toFixed(0)} MiB, ${(100 * growth).toFixed(1)} %`;
    results.push({ trial: `pictures: ${mode}`, count, found, passed: growth <= TOLERANCE });
  }
  return results;
}

if (import.meta.main) {
  const [mode = "", count = "300"] = Deno.args;
  console.log(JSON.stringify(await measure(mode, Number(count))));
}
