// What a request leaves open, filled in.

import { assertEquals } from "@std/assert";
import { shapeOf } from "../../src/jobs/batch.ts";
import { drawnPrompts, orderOf } from "../../src/server/order.ts";
import { readOpenAIRequest } from "../../src/server/openai/request.ts";

const STYLES = ["in ink", "flat style"];
const LIMITS = { numTrainTimesteps: 100, defaults: { styles: STYLES } };

Deno.test("orderOf() fills in the model's styles, and none where a picture shows its own", () => {
  const stylesOf = (values: Record<string, unknown>, isPictured: boolean) =>
    orderOf({ prompt: "a cat", isPictured, previews: 0, values }, LIMITS).values.styles;
  assertEquals(stylesOf({}, false), STYLES);
  assertEquals(stylesOf({}, true), []);
  for (const isPictured of [false, true]) {
    assertEquals(stylesOf({ styles: "none" }, isPictured), []);
    assertEquals(stylesOf({ styles: ["in oil"] }, isPictured), ["in oil"]);
  }
});

Deno.test("drawnPrompts() gives the prompt of each picture with the style of its seed", () => {
  const order = orderOf({
    prompt: "a cat",
    isPictured: false,
    previews: 0,
    values: { seed: "6" },
  }, LIMITS);
  assertEquals(drawnPrompts(order, 3), ["a cat, in ink", "a cat, flat style", "a cat, in ink"]);
  assertEquals(drawnPrompts({ ...order, prompt: undefined }, 3), undefined);
});

Deno.test("jobs of different APIs have one shape, so that they are drawn together", () => {
  const request = { maxSteps: 100, maxImages: 4, maxPromptLength: 100 };
  const limits = {
    request: { ...request, maxBodyBytes: 1, maxUploadBytes: 1, maxPixels: 1 },
    parameters: LIMITS,
  };
  const values = { seed: 1, steps: 5, guidance: 2 };
  const { job } = readOpenAIRequest({ prompt: "a dog", ...values }, { id: "m", side: 32 }, limits);
  const order = orderOf({ prompt: "a cat", isPictured: false, previews: 0, values }, LIMITS);
  assertEquals(shapeOf(job), shapeOf({ ...order, prompt: "a cat", previewSteps: 0 }));
});
