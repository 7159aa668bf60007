// The Web Worker of the page: loads the model with the first request, and draws one picture after the other.

// With npm and a bundler it is "@vq-diffusion/vq-diffusion".
// @ts-ignore: `deno task bundle` makes it
import { VQDiffusionPipeline } from "./lib/mod.js";

/** Steps between two previews. */
const PREVIEW_STEPS = 2;

let loading;

/** Loads the model once; what failed is tried again with the next request. */
function load(model) {
  loading ??= VQDiffusionPipeline.fromPretrained(model, {
    // The embedded model is stored as int8 to be small, and computed in float32 everywhere.
    dtype: "fp32",
    onProgress(event) {
      if (event.type !== "total") return;
      const percent = Math.round(100 * event.loaded / event.total);
      postMessage({ text: `Loading the model: ${percent} %` });
    },
  });
  loading.catch(() => loading = undefined);
  return loading;
}

async function draw({ prompt, steps, model }) {
  postMessage({ text: "Loading the model" });
  const pipe = await load(new URL(model));
  for await (const event of pipe.stream(prompt, { numInferenceSteps: steps })) {
    const text = `Step ${event.step} of ${event.steps}`;
    if (event.step < event.steps && event.step % PREVIEW_STEPS > 0) postMessage({ text });
    else postMessage({ text, image: (await event.preview())[0] });
  }
  postMessage({ text: `Drawn on ${pipe.device.name}`, done: true });
}

let last = Promise.resolve();
addEventListener("message", ({ data }) => {
  last = last.then(() => draw(data)).catch((error) => {
    postMessage({ text: String(error), done: true });
  });
});
