// Draws the picture of the README: see `USAGE`.

import { contactSheet } from "../src/images/contact_sheet.ts";
import type { RasterImage } from "../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { runScript } from "../tools/script.ts";

const USAGE =
  `Draws the picture of the README with the embedded model, and prints the prompts below it.

    deno run --allow-read --allow-write=weights evaluation/readme_picture.ts`;

const PICTURE = new URL("../weights/examples.png", import.meta.url);

const SEED = 2;

const PROMPTS = [
  "a red apple on a blue background",
  "a yellow star on a black background",
  "a green heart on a white background",
  "a red heart, flat style",
  "an orange, fluent style",
  "a tree on a light blue background",
  "a mushroom on a green background",
  "a smiling face on a pink background",
];

async function draw(): Promise<void> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
  const images: RasterImage[] = [];
  for (const prompt of PROMPTS) {
    const options = { seed: SEED, truncationRate: 0.9, progressBar: true };
    images.push(...(await pipe.generate(prompt, options)).images);
  }
  await Deno.writeFile(PICTURE, await contactSheet(images, { columns: 4 }).toPng());
  console.log(PROMPTS.map((prompt) => `“${prompt}”`).join(" · "));
}

await runScript({ usage: USAGE, options: {}, run: draw });
