// Values of the page's fields.

import { assertEquals } from "@std/assert";
import type { Parameter, Settings } from "../../page/api.ts";
import { chosenStyles, drawnPrompt, fieldValue, libraryValue } from "../../page/values.ts";

const STYLES = ["in ink", "flat style"];
const PARAMETERS: readonly Parameter[] = [
  { name: "steps", option: "numInferenceSteps", type: "integer", help: "", default: 5 },
  { name: "styles", option: "styles", type: "texts", help: "", default: STYLES },
];

Deno.test("values of the library come back from the fields of the page", () => {
  const values: [option: string, value: unknown, field: number | string][] = [
    ["styles", STYLES, "in ink, flat style"],
    ["styles", [], "none"],
    ["guidanceInterval", [0.2, 1], "0.2-1"],
    ["topK", 9, 9],
    ["sampler", "fast:4", "fast:4"],
  ];
  for (const [option, value, field] of values) {
    assertEquals(fieldValue(option, value), field);
    assertEquals(libraryValue(option, field), value);
  }
  // What cannot be read is for the library to refuse.
  assertEquals(libraryValue("guidanceInterval", "much"), "much");
  assertEquals(libraryValue("styles", "a,,b"), "a,,b");
});

Deno.test("drawnPrompt() tells the style that a seed has chosen", () => {
  const settings: Settings = { prompt: "a cat", seed: "3", values: {} };
  const drawn = (changes: Partial<Settings>) =>
    drawnPrompt({ ...settings, ...changes }, PARAMETERS);
  assertEquals(drawn({}), "a cat, flat style");
  assertEquals(drawn({ seed: "4" }), "a cat, in ink");
  assertEquals(drawn({ values: { styles: "none" } }), "a cat");
  assertEquals(drawn({ values: { styles: "in oil" } }), "a cat, in oil");
  assertEquals(drawn({ prompt: "" }), "");
  // A picture to start from shows its own.
  const picture = { image: new Blob() };
  assertEquals(drawn({ picture }), "a cat");
  assertEquals(chosenStyles({ ...settings, picture }, PARAMETERS), []);
  assertEquals(chosenStyles(settings, []), []);
});
