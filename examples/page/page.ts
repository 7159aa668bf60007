// The program of the page: draws what the form says, and shows the picture while it appears.

import { type RasterImage, VQDiffusionPipeline } from "../../mod.ts";

/** Steps between two previews. */
const PREVIEW_STEPS = 5;

const form = document.querySelector("form")!;
const canvas = document.querySelector("canvas")!;
const output = document.querySelector("output")!;

let loading: Promise<VQDiffusionPipeline> | undefined;

function load(): Promise<VQDiffusionPipeline> {
  return VQDiffusionPipeline.fromPretrained(new URL("weights/", location.href));
}

function show({ width, height, data }: RasterImage): void {
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
}

async function draw(prompt: string, numInferenceSteps: number): Promise<void> {
  output.textContent = "Loading the model";
  const pipe = await (loading ??= load());
  for await (const { step, steps, preview } of pipe.stream(prompt, { numInferenceSteps })) {
    output.textContent = `Step ${step + 1} of ${steps}`;
    const isLast = step + 1 === steps;
    if (isLast || (step + 1) % PREVIEW_STEPS === 0) show((await preview())[0]!);
  }
  output.textContent = `Drawn on ${pipe.device.name}`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const button = form.querySelector("button")!;
  button.disabled = true;
  try {
    await draw(String(data.get("prompt")), Number(data.get("steps")));
  } catch (error) {
    output.textContent = String(error);
  } finally {
    button.disabled = false;
  }
});
