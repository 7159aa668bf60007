import { assertEquals, assertThrows } from "@std/assert";
import {
  borderColor,
  countEqual,
  meanDifference,
  meanSquaredDifference,
  nearestColor,
} from "../../evaluation/image_measures.ts";
import { GROUND_COLORS } from "../../evaluation/prompts.ts";
import { RasterImage } from "../../src/images/raster_image.ts";

/** A picture of colours that depend on the place. */
function picture(
  side: number,
  colorOf: (x: number, y: number) => readonly number[],
): RasterImage {
  const data = new Uint8ClampedArray(side * side * 4);
  for (let i = 0; i < side * side; i++) {
    data.set([...colorOf(i % side, Math.floor(i / side)), 255], i * 4);
  }
  return new RasterImage(data, side, side);
}

Deno.test("countEqual() counts places with the same token", () => {
  assertEquals(countEqual(Int32Array.of(1, 2, 3, 4), Int32Array.of(1, 3, 2, 4)), 2);
});

Deno.test("meanDifference() and meanSquaredDifference() are means over colours, not alpha", () => {
  const a = picture(2, () => [10, 20, 30]);
  const b = picture(2, (x) => x === 0 ? [13, 20, 30] : [10, 20, 24]);
  b.data[3] = 0;
  assertEquals(meanDifference(a, b), (3 + 6) / 6);
  assertEquals(meanSquaredDifference(a, b), (9 + 36) / 6);
});

Deno.test("meanDifference() refuses pictures of different sizes", () => {
  const [a, b] = [picture(2, () => [0, 0, 0]), picture(3, () => [0, 0, 0])];
  assertThrows(() => meanDifference(a, b), RangeError, "2 × 2 pixels with one of 3 × 3");
});

Deno.test("borderColor() sees the border alone, and not what crosses a part of it", () => {
  const image = picture(64, (x, y) => {
    const inside = Math.min(x, y, 63 - x, 63 - y) >= 2;
    return inside || (y > 60 && x > 5 && x < 50) ? [0, 0, 0] : [200, 100, 50];
  });
  assertEquals(borderColor(image), [200, 100, 50]);
});

Deno.test("nearestColor() names every ground by its own colour and one beside it", () => {
  for (const [name, [red, green, blue]] of Object.entries(GROUND_COLORS)) {
    assertEquals(nearestColor([red - 5, green + 5, blue - 5], GROUND_COLORS), name);
  }
});
