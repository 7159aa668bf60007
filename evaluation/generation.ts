// Many pictures, a batch at a time.

import type { RasterImage } from "../src/images/raster_image.ts";
import type { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { SeedsGenerator } from "./seeds_generator.ts";

/** Images of a batch. */
const BATCH = 8;

/** What makes an image. */
export interface Case {
  readonly prompt: string;
  readonly seed: number;
}

/** Splits cases into batches. */
export function batches(cases: readonly Case[]): Case[][] {
  return Array.from(
    { length: Math.ceil(cases.length / BATCH) },
    (_, i) => cases.slice(i * BATCH, (i + 1) * BATCH),
  );
}

/** What `generate` and `stream` need of a batch; `offset` is added to the seeds. */
export function batchArguments(
  batch: readonly Case[],
  offset = 0,
): [prompts: string[], options: { readonly generator: SeedsGenerator }] {
  const seeds = batch.map(({ seed }) => seed + offset);
  return [batch.map(({ prompt }) => prompt), { generator: new SeedsGenerator(seeds) }];
}

/** Draws all cases and says on the standard error output how far it has come. */
export async function drawAll(
  pipe: VQDiffusionPipeline,
  cases: readonly Case[],
): Promise<RasterImage[]> {
  const images: RasterImage[] = [];
  for (const batch of batches(cases)) {
    images.push(...(await pipe.generate(...batchArguments(batch))).images);
    console.error(`${images.length} of ${cases.length} pictures`);
  }
  return images;
}
