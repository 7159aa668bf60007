import { assertEquals, assertThrows } from "@std/assert";
import {
  GROUND_COLORS,
  MOST_PROMPTS,
  promptOf,
  STYLES,
  variedPrompts,
} from "../../evaluation/prompts.ts";

Deno.test("promptOf() words a prompt as the captions of the training", () => {
  assertEquals(promptOf({ name: "owl" }), "an owl");
  assertEquals(promptOf({ name: "cat", ground: "orange" }), "a cat on an orange background");
  assertEquals(
    promptOf({ name: "cat", ground: "light blue", style: "flat" }),
    "a cat, flat style on a light blue background",
  );
});

Deno.test("variedPrompts() gives different prompts, shorter lists being the start of longer ones", () => {
  const all = variedPrompts(MOST_PROMPTS);
  assertEquals(new Set(all).size, MOST_PROMPTS);
  assertEquals(variedPrompts(7), all.slice(0, 7));
});

Deno.test("variedPrompts() uses all grounds and styles in its first 40", () => {
  const text = variedPrompts(40).join("\n");
  const parts = [...Object.keys(GROUND_COLORS).map((ground) => `${ground} background`)];
  parts.push(...STYLES.map((style) => `, ${style} style`));
  assertEquals(parts.filter((part) => !text.includes(part)), []);
});

Deno.test("variedPrompts() refuses to repeat itself", () => {
  assertThrows(() => variedPrompts(MOST_PROMPTS + 1), RangeError, "expected at most 480");
});
