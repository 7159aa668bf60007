import { assertEquals, assertThrows } from "@std/assert";
import { contactSheet } from "../../src/images/contact_sheet.ts";
import { RasterImage } from "../../src/images/raster_image.ts";

/** An image of one colour with all channels alike. */
function flat(value: number, width: number, height: number): RasterImage {
  return new RasterImage(new Uint8ClampedArray(width * height * 4).fill(value), width, height);
}

/** The first channel, row by row. */
function rows({ data, width, height }: RasterImage): number[][] {
  return Array.from(
    { length: height },
    (_, y) => Array.from({ length: width }, (_, x) => data[(y * width + x) * 4]!),
  );
}

Deno.test("contactSheet() puts images in rows, with gaps between and around them", () => {
  const sheet = contactSheet([flat(1, 2, 1), flat(2, 1, 2), flat(3, 1, 1)], { gap: 1 });
  const w = 255;
  assertEquals(rows(sheet), [
    [w, w, w, w, w, w, w],
    [w, 1, 1, w, 2, w, w],
    [w, w, w, w, 2, w, w],
    [w, w, w, w, w, w, w],
    [w, 3, w, w, w, w, w],
    [w, w, w, w, w, w, w],
    [w, w, w, w, w, w, w],
  ]);
});

Deno.test("contactSheet() takes as many columns as asked for, and no more than images", () => {
  const images = [flat(1, 1, 1), flat(2, 1, 1), flat(3, 1, 1)];
  assertEquals(rows(contactSheet(images, { columns: 1, gap: 0 })), [[1], [2], [3]]);
  assertEquals(rows(contactSheet(images, { columns: 9, gap: 0 })), [[1, 2, 3]]);
  const { width, height } = contactSheet(Array(7).fill(flat(1, 10, 20)));
  assertEquals([width, height], [3 * 18 + 8, 3 * 28 + 8]);
});

Deno.test("contactSheet() refuses options that have no meaning", () => {
  const images = [flat(1, 1, 1)];
  assertThrows(() => contactSheet([]), RangeError, "images is an empty array");
  for (const columns of [0, 1.5, NaN]) {
    assertThrows(() => contactSheet(images, { columns }), RangeError, `columns is ${columns}`);
  }
  assertThrows(() => contactSheet(images, { gap: -1 }), RangeError, "gap is -1");
});
