import { assertEquals } from "@std/assert";
import { KNOWN_NAMES, NAMES_BY_CATEGORY } from "../../evaluation/known_names.ts";
import { GROUNDS, STYLES } from "../../evaluation/prompts.ts";
import listing from "../../weights/names.json" with { type: "json" };

Deno.test("names.json has every name once, in order, with the styles and grounds of the captions", () => {
  assertEquals([listing.styles, listing.grounds], [[...STYLES], [...GROUNDS]]);
  assertEquals(new Set(KNOWN_NAMES).size, KNOWN_NAMES.length);
  assertEquals(KNOWN_NAMES.length, 1034);
  for (const names of Object.values(NAMES_BY_CATEGORY)) assertEquals(names, names.toSorted());
});

Deno.test("names.json has names in the words of the captions", () => {
  const isPlain = (name: string) => /^[a-z0-9]+( [a-z0-9]+)*$/.test(name);
  assertEquals(KNOWN_NAMES.filter((name) => !isPlain(name)), []);
});
