// Many pictures, a batch at a time.

import type { RasterImage } from "../src/images/raster_image.ts";
import type { GenerateOptions } from "../src/pipeline/generate_options.ts";
import type { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";

/** Images of a batch. */
const BATCH = 8;

/** What makes an image. */
export interface Case {
  readonly prompt: string;
  readonly seed: number;
}

/** How pictures are drawn; what is left out is up to the model, but prompts are drawn as they stand. */
export type DrawOptions = Pick<
  GenerateOptions,
  "guidanceScale" | "truncationRate" | "numInferenceSteps" | "sampler" | "styles"
>;

/** A picture and what it was decoded from. */
export interface Drawn {
  readonly image: RasterImage;
  /** Tokens, row by row. */
  readonly tokens: Int32Array;
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
): [prompts: string[], options: { readonly seed: readonly number[] }] {
  return [batch.map(({ prompt }) => prompt), { seed: batch.map(({ seed }) => seed + offset) }];
}

/** Draws the cases of one batch. */
export async function drawBatch(
  pipe: Pick<VQDiffusionPipeline, "generate">,
  batch: readonly Case[],
  options: DrawOptions = {},
): Promise<Drawn[]> {
  const [prompts, seeds] = batchArguments(batch);
  let latents: Int32Array = new Int32Array();
  const { images } = await pipe.generate(prompts, {
    styles: [],
    ...options,
    ...seeds,
    callback: (_step, _timestep, tokens) => void (latents = tokens),
  });
  const size = latents.length / images.length;
  return images.map((image, i) => {
    return { image, tokens: latents.subarray(i * size, (i + 1) * size) };
  });
}

/** Draws all cases and reports on the standard error output how far it has come. */
export async function drawAll(
  pipe: VQDiffusionPipeline,
  cases: readonly Case[],
  options: DrawOptions = {},
): Promise<Drawn[]> {
  const drawn: Drawn[] = [];
  for (const batch of batches(cases)) {
    drawn.push(...await drawBatch(pipe, batch, options));
    console.error(`${drawn.length} of ${cases.length} pictures`);
  }
  return drawn;
}
