// Styles of prompts that name none.

import { assertEquals } from "@std/assert";
import {
  formatStyles,
  longestStyled,
  parseStyles,
  styledPrompt,
  styledPrompts,
} from "../../src/conditioning/styles.ts";

const STYLES = ["noto style", "fluent style", "flat style"];

Deno.test("styledPrompt() takes the styles in turn, by the bits of a seed that count", () => {
  const drawn = Array.from({ length: 6 }, (_, seed) => styledPrompt("a cat", seed, STYLES));
  const turn = STYLES.map((style) => `a cat, ${style}`);
  assertEquals(drawn, [...turn, ...turn]);
  // As the random numbers: seeds with the same low 32 bits draw the same picture.
  for (const seed of [1n, 1n + 2n ** 32n, 1n - 2n ** 32n, 2n ** 63n + 1n]) {
    assertEquals(styledPrompt("a cat", seed, STYLES), "a cat, fluent style");
  }
  // 2³² − 1 = 3 · 1431655765.
  assertEquals(styledPrompt("a cat", -1, STYLES), "a cat, noto style");
  for (const end of ["", ".", " . ", ","]) {
    assertEquals(styledPrompt(`a cat${end}`, 2, STYLES), "a cat, flat style");
  }
});

Deno.test("styledPrompt() leaves a prompt as it stands that names a style or nothing", () => {
  const kept = [
    "a cat, flat style",
    "a cat in Flat  Style on a red background",
    "noto-style cat",
    "",
    " ",
  ];
  for (const prompt of kept) assertEquals(styledPrompt(prompt, 1, STYLES), prompt);
  assertEquals(styledPrompt("a cat", 1, []), "a cat");
  assertEquals(styledPrompt("a cat", 1), "a cat");
  // These only look like styles.
  const others = ["a flat stylet", "inflat style", "style flat"];
  for (const prompt of others) {
    assertEquals(styledPrompt(prompt, 1, STYLES), `${prompt}, fluent style`);
  }
});

Deno.test("longestStyled() is the most that can become of a prompt", () => {
  assertEquals(longestStyled("a cat", STYLES), "a cat, fluent style");
  assertEquals(longestStyled("a cat, flat style", STYLES), "a cat, flat style");
  assertEquals(longestStyled("a cat", []), "a cat");
});

Deno.test("styledPrompts() gives each image of a batch the style of its own seed", () => {
  const request = { copies: 2, styles: STYLES, seedOf: (image: number) => 2 + image };
  assertEquals(styledPrompts(["a cat", "a dog, flat style"], request), [
    "a cat, flat style",
    "a cat, noto style",
    "a dog, flat style",
    "a dog, flat style",
  ]);
  assertEquals(styledPrompts(["a dog, flat style"], request), undefined);
  assertEquals(styledPrompts(["a dog"], { ...request, styles: [] }), undefined);
});

Deno.test("parseStyles() reads what stands between commas", () => {
  assertEquals(parseStyles(" flat style, in pencil "), ["flat style", "in pencil"]);
  for (const none of ["", " ", "none", " None "]) assertEquals(parseStyles(none), []);
  for (const wrong of ["flat,,noto", ",", "flat style, !", "flat\nstyle", "x".repeat(201)]) {
    assertEquals(parseStyles(wrong), undefined, wrong);
  }
  for (const styles of [[], ["flat style"], ["flat style", "in pencil"]]) {
    assertEquals(parseStyles(formatStyles(styles)), styles);
  }
});
