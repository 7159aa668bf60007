// Models that do not draw from text over HTTP.

import { assert, assertEquals } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { createHandler } from "../../src/server/handler.ts";
import { loadClassModel } from "../pipeline/class_models.ts";
import { folderOf, tinyFiles } from "../pipeline/golden_runs.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { parseEvents } from "./support.ts";

function get(query: string, headers: HeadersInit = {}): Request {
  return new Request(`http://localhost/generate?${query}`, { headers });
}

async function image(response: Response): Promise<RasterImage> {
  assertEquals(response.status, 200);
  return await RasterImage.decode(await response.bytes());
}

Deno.test("createHandler() draws classes, and without condition", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using classes = await loadClassModel("imagenet", backend);
  await using nothing = await loadClassModel("ffhq", backend);
  const options = { numInferenceSteps: 4, seed: 7 };
  const guided = { ...options, guidanceScale: 1.5 };
  const { images: [expected] } = await classes.generate({ classLabel: 207 }, guided);
  const handler = createHandler(classes);
  const query = "class=207&steps=4&seed=7&guidance=1.5";
  assertEquals(await image(await handler(get(query))), expected);
  const body = JSON.stringify({ class: 207, steps: 4, seed: 7, guidance: 1.5 });
  const headers = { "content-type": "application/json" };
  const post = new Request("http://localhost/generate", { method: "POST", body, headers });
  assertEquals(await image(await handler(post)), expected);
  const events = await handler(get(query, { accept: "text/event-stream" }));
  const { name, data } = parseEvents(await events.text()).at(-1)!;
  assertEquals([name, data.seed, data.images?.length], ["result", "7", 1]);
  const { images: [free] } = await nothing.generate(undefined, options);
  assertEquals(await image(await createHandler(nothing)(get("steps=4&seed=7"))), free);
});

Deno.test("createHandler() says what a model takes", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using classes = await loadClassModel("imagenet", backend);
  await using nothing = await loadClassModel("ffhq", backend);
  await using text = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), { backend });
  const cases: [VQDiffusionPipeline, query: string, message: string][] = [
    [classes, "", "class is missing, expected a whole number from 0 to 1000"],
    [classes, "class=1001", "class is 1001, expected a whole number from 0 to 1000"],
    [classes, "class=-1", "class is -1, expected a whole number of at least 0"],
    [classes, "class=cat", 'class is "cat", expected a whole number'],
    [classes, "prompt=a", 'prompt is "a", expected none, as the model draws from classes'],
    [nothing, "class=3", "class is 3, expected none, as the model is unconditional"],
    [nothing, "prompt=a", 'prompt is "a", expected none, as the model is unconditional'],
    [
      nothing,
      "guidance=3",
      "guidance is 3, expected a number, only 1, as the model is unconditional",
    ],
    [text, "", "prompt is missing, expected a text"],
    [text, "prompt=a&class=3", "class is 3, expected none, as the model draws from text"],
  ];
  for (const [pipe, query, message] of cases) {
    const failures: unknown[] = [];
    const handler = createHandler(pipe, { onError: (error) => failures.push(error) });
    const response = await handler(get(query));
    const { error } = await response.json();
    assertEquals([response.status, failures], [400, []], error);
    assert(error.includes(message), error);
  }
});
