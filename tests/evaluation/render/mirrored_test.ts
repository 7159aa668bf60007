import { assert, assertEquals } from "@std/assert";
import { isMirrored, mirrored } from "../../../evaluation/render/mirrored.ts";

const SIDE = 64;

/** A picture with a black bar from one column to before another, clear around it. */
function bar(first: number, end: number): Uint8Array {
  const rgba = new Uint8Array(SIDE * SIDE * 4);
  for (let i = 0; i < SIDE * SIDE; i++) {
    if (i % SIDE >= first && i % SIDE < end) rgba[i * 4 + 3] = 255;
  }
  return rgba;
}

Deno.test("mirrored() reverses rows, pixel by pixel", () => {
  assertEquals(mirrored(bar(0, 16), SIDE), bar(48, 64));
  const pixels = Uint8Array.from({ length: 2 * 2 * 4 }, (_, i) => i);
  assertEquals(
    mirrored(pixels, 2),
    Uint8Array.of(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11),
  );
  // The picture itself stays as it is.
  assertEquals(pixels[0], 0);
});

Deno.test("isMirrored() wants a picture that a mirror changes clearly", () => {
  assert(isMirrored("cat", bar(0, 32)));
  assert(!isMirrored("cat", bar(16, 48)));
  // A block of 16 on either side differs by 255: √(2 / 16) of that is 90, of a bar of two pixels 45.
  assert(isMirrored("cat", bar(0, 2)));
  // One pixel: a quarter of 255 in two of 16 columns of blocks, 64 · √(2 / 16) = 22.5.
  assert(!isMirrored("cat", bar(0, 1)));
});

Deno.test("isMirrored() leaves out what has letters, digits or a side", () => {
  const sided = ["two oclock", "crescent moon", "world map", "taxi", "musical note", "calendar"];
  assertEquals(sided.filter((name) => isMirrored(name, bar(0, 32))), []);
  const others = ["tractor", "heart with arrow", "fish", "rocket"];
  assertEquals(others.filter((name) => !isMirrored(name, bar(0, 32))), []);
});
