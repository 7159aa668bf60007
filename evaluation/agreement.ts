// Measures what weights held in float16 or int8 cost against float32: see `USAGE`.

import type { WeightDType } from "../src/base/dtypes.ts";
import { createBackend } from "../src/backends/select.ts";
import { integerOption } from "../src/cli/arguments.ts";
import type { RasterImage } from "../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { markdownTable, percent } from "../tools/markdown_table.ts";
import { choicesOption, runScript } from "../tools/script.ts";
import { batchArguments, batches, type Case } from "./generation.ts";
import { countEqual, meanDifference } from "./image_measures.ts";
import { MOST_PROMPTS, variedPrompts } from "./prompts.ts";

const USAGE = `Measures what weights held in float16 or int8 cost against float32.

    deno run --allow-all evaluation/agreement.ts [options]

--model m     a folder, URL or hub id; default: the embedded model
--dtype a,b   how weights are held: fp16, q8; default: both
--images n    images, each with a prompt and a seed of its own; default: 120`;

const EXPLANATION = `
The noise is the same for all types, with a seed for each image. "equal at the end": tokens after all
steps that are those of fp32. Sampling is chaotic: one token that falls otherwise is seen by all that
follow, so this share says how soon two runs part, not how far apart they are. "image difference": mean
absolute difference of red, green and blue, 0 to 255, of the final images. The last row is the
yardstick: fp32 again, with other seeds.`;

/** Types that are compared with fp32. */
const COMPARED: readonly WeightDType[] = ["fp16", "q8"];
/** Added to seeds for noise that has nothing to do with that of the images. */
const OTHER_SEEDS = 1_000_000;

/** What a generation gave. */
interface Run {
  /** Tokens (images · pixels). */
  readonly tokens: Int32Array;
  readonly images: readonly RasterImage[];
}

/** How well runs agree with those in fp32. */
class Agreement {
  #equal = 0;
  #all = 0;
  readonly #differences: number[] = [];

  /** Compares the results of two generations. */
  addRun(expected: Run, actual: Run): void {
    this.#equal += countEqual(expected.tokens, actual.tokens);
    this.#all += expected.tokens.length;
    expected.images.forEach((image, i) => {
      this.#differences.push(meanDifference(image, actual.images[i]!));
    });
  }

  /** Cells of the table. */
  cells(): string[] {
    const mean = this.#differences.reduce((sum, x) => sum + x, 0) / this.#differences.length;
    return [percent(this.#equal / this.#all), mean.toFixed(2)];
  }
}

/** Generates a batch. */
async function draw(
  pipe: VQDiffusionPipeline,
  batch: readonly Case[],
  seedOffset = 0,
): Promise<Run> {
  const events = pipe.stream(...batchArguments(batch, seedOffset));
  for await (const { step, steps, tokens, preview } of events) {
    if (step === steps) return { tokens, images: await preview() };
  }
  throw new Error("The generation ended without its last step");
}

interface Options {
  readonly model: string | undefined;
  readonly dtypes: readonly WeightDType[];
  readonly images: number;
}

async function measure({ model, dtypes, images }: Options): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const backend = stack.use(await createBackend({ device: "wasm" }));
  const load = async (dtype: WeightDType) => {
    return stack.use(await VQDiffusionPipeline.fromPretrained(model, { backend, dtype }));
  };
  const reference = await load("fp32");
  const others: { dtype: WeightDType; pipe: VQDiffusionPipeline; agreement: Agreement }[] = [];
  for (const dtype of dtypes) {
    others.push({ dtype, pipe: await load(dtype), agreement: new Agreement() });
  }
  const yardstick = new Agreement();
  const cases = variedPrompts(images).map((prompt, seed) => ({ prompt, seed }));
  let done = 0;
  for (const batch of batches(cases)) {
    const expected = await draw(reference, batch);
    yardstick.addRun(expected, await draw(reference, batch, OTHER_SEEDS));
    for (const { pipe, agreement } of others) agreement.addRun(expected, await draw(pipe, batch));
    done += batch.length;
    console.error(`${done} of ${images} images`);
  }
  return markdownTable(["weights", "equal at the end", "image difference"], [
    ...others.map(({ dtype, agreement }) => [dtype, ...agreement.cells()]),
    ["fp32, other seed", ...yardstick.cells()],
  ]);
}

await runScript({
  usage: USAGE,
  options: {
    model: { type: "string" },
    dtype: { type: "string" },
    images: { type: "string", default: "120" },
  },
  async run({ values }) {
    const images = integerOption("images", values.images, { max: MOST_PROMPTS })!;
    const dtypes = choicesOption("dtype", values.dtype, COMPARED) ?? COMPARED;
    const table = await measure({ model: values.model, dtypes, images });
    console.log(`${images} images, seeds 0 to ${images - 1}\n\n${table}\n${EXPLANATION}`);
  },
});
