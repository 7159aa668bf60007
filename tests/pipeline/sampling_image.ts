// Golden runs of Microsoft's code from pictures.

import type { Backend } from "../../src/backends/backend.ts";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";

const FOLDER = new URL("../fixtures/sampling_image/", import.meta.url);

/** The original checkpoint that they were made with. */
const MODEL = new URL("../fixtures/class_models/ithq/ithq_tiny_learnable.pth", import.meta.url);

const arrays = parseSafetensors(Deno.readFileSync(new URL("io.safetensors", FOLDER)));

/** A run of the reference: its arguments. */
export interface ImageRun {
  readonly filter_ratio: number;
  readonly guidance_scale: number;
  readonly truncation_rate: number | null;
  readonly seed: number;
  readonly calls: number;
}

/** All runs by their names. */
export const IMAGE_RUNS: Readonly<Record<string, ImageRun>> = JSON.parse(
  Deno.readTextFileSync(new URL("case.json", FOLDER)),
).runs;

/** Integers of the golden data. */
export function ints(name: string): Int32Array {
  return typedArray(arrays.get(name)!) as Int32Array;
}

/** Floats of the golden data. */
export function floats(name: string): Float32Array {
  return typedArray(arrays.get(name)!) as Float32Array;
}

/** Embeddings of the golden data, as a generation takes them. */
export function embeddings(name: string) {
  const [columns, length, texts = 1] = [...arrays.get(name)!.shape].reverse();
  return { data: floats(name), shape: [texts, length!, columns!] as const };
}

/** The two pictures that the runs start from. */
export function pictures(): RasterImage[] {
  const { bytes, shape: [count, , height, width] } = arrays.get("image")!;
  const size = height! * width!;
  return Array.from({ length: count! }, (_, i) => {
    const data = Uint8ClampedArray.from({ length: 4 * size }, (_, at) => {
      const channel = at % 4;
      return channel === 3 ? 255 : bytes[(3 * i + channel) * size + (at >> 2)]!;
    });
    return new RasterImage(data, width!, height!);
  });
}

/** The pipeline of the runs; the caller disposes of the backend. */
export async function loadImagePipeline(backend: Backend) {
  const load = { backend };
  const transformer = await Transformer2DModel.fromPretrained(MODEL, {
    ...load,
    subfolder: "transformer",
  });
  const vqvae = await VQModel.fromPretrained(MODEL, { ...load, subfolder: "vqvae" });
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 25, samplingReference: "microsoft" });
  const pipe = new VQDiffusionPipeline({ transformer, vqvae, scheduler });
  return {
    pipe,
    [Symbol.asyncDispose]: async () => {
      await transformer.dispose();
      await vqvae.dispose();
    },
  };
}
