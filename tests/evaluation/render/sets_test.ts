import { assertEquals, assertStringIncludes } from "@std/assert";
import { type IconSet, keysOf, nameOf, svgOf } from "../../../evaluation/render/sets.ts";

const icon = { body: "<path/>" };

Deno.test("keysOf() gives one icon of each thing, in no shade of skin", () => {
  const keys = [
    "red-apple",
    "flag-france",
    "keycap-1",
    "waving-hand",
    "waving-hand-dark",
    "waving-hand-medium-light-skin-tone",
    "elf-dark",
    "elf-light",
    "dim-light",
  ];
  const icons = Object.fromEntries(keys.map((key) => [key, icon]));
  const set: IconSet = { icons: { ...icons, gone: { ...icon, hidden: true } } };
  assertEquals(keysOf(set), ["red-apple", "waving-hand", "dim-light"]);
  assertEquals(nameOf("red-apple"), "red apple");
});

Deno.test("svgOf() puts an icon into the middle of a square, with a margin", () => {
  const set: IconSet = {
    icons: { square: icon, wide: { ...icon, width: 60, height: 30, left: 2, top: 1 } },
    width: 30,
    height: 30,
  };
  const square = svgOf(set, "square", 64);
  assertStringIncludes(square, 'width="64" height="64" viewBox="-1 -1 32 32"');
  assertStringIncludes(square, "<path/></svg>");
  assertStringIncludes(svgOf(set, "wide", 64), 'viewBox="0 -16 64 64"');
});
