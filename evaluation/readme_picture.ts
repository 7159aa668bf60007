// Draws the picture of the README: see `USAGE`.

import { contactSheet } from "../src/images/contact_sheet.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { runScript } from "../tools/script.ts";
import { type Case, drawAll } from "./generation.ts";

const USAGE =
  `Draws the picture of the README with the embedded model, and prints the prompts below it.

    deno run --allow-read --allow-write=weights evaluation/readme_picture.ts`;

const PICTURE = new URL("../weights/examples.png", import.meta.url);

/** Different things, then one thing with different seeds. */
const CASES: readonly Case[] = [
  { prompt: "a red apple on a blue background", seed: 0 },
  { prompt: "a star on a black background", seed: 0 },
  { prompt: "a mushroom on a light blue background", seed: 1 },
  { prompt: "a grinning face on a pink background", seed: 3 },
  ...[0, 1, 2, 3].map((seed) => ({ prompt: "a rocket", seed })),
];

async function draw(): Promise<void> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
  const { styles } = pipe.generationConfig;
  const images = (await drawAll(pipe, CASES, { styles })).map(({ image }) => image);
  await Deno.writeFile(PICTURE, await contactSheet(images, { columns: 4 }).toPng());
  console.log(CASES.map(({ prompt, seed }) => `“${prompt}”, seed ${seed}`).join(" · "));
}

await runScript({ usage: USAGE, options: {}, run: draw });
