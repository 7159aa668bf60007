// Draws the picture of the README: see `USAGE`.

import { contactSheet } from "../src/images/contact_sheet.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { runScript } from "../tools/script.ts";
import { drawAll } from "./generation.ts";

const USAGE =
  `Draws the picture of the README with the embedded model, and prints the prompts below it.

    deno run --allow-read --allow-write=weights evaluation/readme_picture.ts`;

const PICTURE = new URL("../weights/examples.png", import.meta.url);

const PROMPTS = [
  "a red apple on a blue background",
  "a star on a black background",
  "a rocket",
  "a grinning face on a pink background",
  "a strawberry",
  "a soccer ball on a green background",
  "a mushroom on a light blue background",
  "a tractor on a yellow background",
];

async function draw(): Promise<void> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
  const cases = PROMPTS.map((prompt) => ({ prompt, seed: 2 }));
  const { styles } = pipe.generationConfig;
  const images = (await drawAll(pipe, cases, { styles })).map(({ image }) => image);
  await Deno.writeFile(PICTURE, await contactSheet(images, { columns: 4 }).toPng());
  console.log(PROMPTS.map((prompt) => `“${prompt}”`).join(" · "));
}

await runScript({ usage: USAGE, options: {}, run: draw });
