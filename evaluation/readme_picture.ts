/**
 * Draws the picture of the README with the embedded model, and prints the prompts below it.
 *
 * Usage: `deno run --allow-read --allow-write=weights evaluation/readme_picture.ts`
 */

import { contactSheet, VQDiffusionPipeline } from "../mod.ts";
import { drawAll, EMOJI_OPTIONS } from "./generation.ts";

const PICTURE = new URL("../weights/examples.png", import.meta.url);

const PROMPTS = [
  "a red apple on a blue background",
  "a star on a black background",
  "a rocket",
  "a grinning face on a pink background",
  "a strawberry",
  "a soccer ball on a green background",
  "a mushroom on a light blue background",
  "a crown on a purple background",
];

await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm" });
const drawn = await drawAll(pipe, PROMPTS.map((prompt) => ({ prompt, seed: 2 })), EMOJI_OPTIONS);
const images = drawn.map(({ image }) => image);
await Deno.writeFile(PICTURE, await contactSheet(images, { columns: 4 }).toPng());
console.log(PROMPTS.map((prompt) => `“${prompt}”`).join(" · "));
