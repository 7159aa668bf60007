// Draws the contact sheet of the model card: see `USAGE`.

import { contactSheet } from "../src/images/contact_sheet.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { runScript } from "../tools/script.ts";
import { drawAll } from "./generation.ts";
import { SHEET_PROMPTS } from "./prompts.ts";

const USAGE = `Draws a contact sheet of ${SHEET_PROMPTS.length} prompts, with the seeds 0, 1, 2 …

    deno run --allow-all evaluation/contact_sheet.ts [options]

--model m      a folder, URL or hub id; default: the embedded model
--out file     default: weights/samples.png`;

const SAMPLES = new URL("../weights/samples.png", import.meta.url);

async function draw(model: string | undefined, out: string | URL): Promise<void> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(model, { device: "wasm" });
  const cases = SHEET_PROMPTS.map((prompt, i) => ({ prompt, seed: i }));
  const { styles } = pipe.generationConfig;
  const drawn = await drawAll(pipe, cases, { styles });
  await Deno.writeFile(out, await contactSheet(drawn.map(({ image }) => image)).toPng());
  console.log(SHEET_PROMPTS.join(" · "));
}

await runScript({
  usage: USAGE,
  options: { model: { type: "string" }, out: { type: "string" } },
  run: ({ values }) => draw(values.model, values.out ?? SAMPLES),
});
