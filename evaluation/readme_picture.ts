/**
 * Draws the picture of the README with the embedded model, and prints the prompts below it.
 *
 * Usage: `deno run --allow-read --allow-write=weights evaluation/readme_picture.ts`
 */

import { contactSheet, type RasterImage, VQDiffusionPipeline } from "../mod.ts";

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

await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
const images: RasterImage[] = [];
for (const prompt of PROMPTS) {
  const options = { seed: SEED, truncationRate: 0.9, progressBar: true };
  images.push(...(await pipe.generate(prompt, options)).images);
}
await Deno.writeFile(PICTURE, await contactSheet(images, { columns: 4 }).toPng());
console.log(PROMPTS.map((prompt) => `“${prompt}”`).join(" · "));
