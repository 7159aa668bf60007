// Draws a prompt with the embedded model and saves the picture:
//
//     deno run --allow-read --allow-write=. examples/script.ts "a red apple" apple.png
//
// A third argument is the number of denoising steps; by default it is the model's own.

import { VQDiffusionPipeline } from "../mod.ts";

const [prompt = "a red apple on a blue background", path = "picture.png", steps] = Deno.args;

// `await using` frees memory, threads and the GPU at the end.
await using pipe = await VQDiffusionPipeline.fromPretrained();
const { images } = await pipe.generate(prompt, {
  numInferenceSteps: steps === undefined ? undefined : Number(steps),
  seed: 1, // The same seed draws the same picture.
  progressBar: true,
});
await Deno.writeFile(path, await images[0]!.toPng());
console.log(`${path}, drawn on ${pipe.device.name}`);
