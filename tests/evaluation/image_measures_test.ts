import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  blockMeans,
  borderColor,
  countEqual,
  meanDifference,
  meanSquaredDifference,
  mostUnlike,
  nearestColor,
  peakSignalToNoise,
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

Deno.test("peakSignalToNoise() is 20 decibels for an error of a tenth of the range", () => {
  const [a, b] = [
    picture(4, () => [0, 100, 255]),
    picture(4, () => [25.5, 100 + 25.5, 255 - 25.5]),
  ];
  // Bytes are whole numbers: 26, 126 (to even) and 230 are 26, 26 and 25 away.
  const mean = (26 ** 2 + 26 ** 2 + 25 ** 2) / 3;
  assertAlmostEquals(peakSignalToNoise(a, b), 20 * Math.log10(255 / Math.sqrt(mean)), 1e-9);
  assertEquals(peakSignalToNoise(a, a), Infinity);
});

Deno.test("blockMeans() gives the colours of blocks, row by row", () => {
  const image = picture(4, (x, y) => [x < 2 ? 10 : 20, y < 2 ? 30 : 40, x + 4 * y]);
  const means = [10, 30, 2.5, 20, 30, 4.5, 10, 40, 10.5, 20, 40, 12.5];
  assertEquals([...blockMeans(image, 2)], means);
});

Deno.test("blockMeans() refuses blocks that do not fill the picture", () => {
  const image = picture(4, () => [0, 0, 0]);
  assertThrows(() => blockMeans(image, 3), RangeError, "blocks is 3, expected a divisor of 4");
});

Deno.test("mostUnlike() counts pictures of which any two differ, not those of a chain", () => {
  const grays = (...levels: number[]) =>
    levels.map((level) => picture(16, () => Array(3).fill(level)));
  assertEquals(mostUnlike([], 30), 0);
  assertEquals(mostUnlike(grays(5), 30), 1);
  assertEquals(mostUnlike(grays(0, 29, 0), 30), 1);
  assertEquals(mostUnlike(grays(0, 30), 30), 2);
  // The first picture is near to two others, which are far from each other.
  assertEquals(mostUnlike(grays(20, 0, 40), 30), 2);
  assertEquals(mostUnlike(grays(0, 10, 40, 50, 90, 95), 30), 3);
  // Only block means count: a fine pattern is as its mean.
  const pattern = picture(32, (x, y) => Array(3).fill((x + y) % 2 * 255));
  assertEquals(mostUnlike([pattern, ...grays(127)], 30), 1);
});
