import { assert, assertEquals, assertThrows } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { differences, readFixture, withoutAlpha } from "./image_files.ts";

/** An opaque image of grey pixels. */
function grey(width: number, values: readonly number[]): RasterImage {
  const data = Uint8ClampedArray.from(values.flatMap((value) => [value, value, value, 255]));
  return new RasterImage(data, width, values.length / width);
}

/** The first channel. */
function reds({ data }: RasterImage): number[] {
  return [...data.filter((_, i) => i % 4 === 0)];
}

const photo = await RasterImage.decode(readFixture("photo.png"));

Deno.test("RasterImage.resize() with Lanczos gives what ImageMagick gives, smaller and larger", () => {
  for (const [width, height] of [[11, 9], [60, 50]] as const) {
    const actual = photo.resize(width, height);
    assertEquals([actual.width, actual.height], [width, height]);
    const expected = readFixture(`photo_lanczos_${width}x${height}.rgb`);
    // Either rounds in its own way; a picture moved by a tenth of a pixel differs by 3.
    const { most } = differences(withoutAlpha(actual.data), expected);
    assert(most <= 1, `${most}`);
  }
});

Deno.test("RasterImage.resize() to the same size changes nothing", () => {
  for (const filter of ["lanczos", "area", "nearest"] as const) {
    assertEquals(photo.resize(37, 27, { filter }).data, photo.data);
  }
});

Deno.test("RasterImage.resize() takes the mean of an area, by what of each pixel lies in it", () => {
  const image = grey(3, [0, 90, 240]);
  // Of three pixels two: 0 and a half of 90, the other half and 240.
  assertEquals(reds(image.resize(2, 1, { filter: "area" })), [30, 190]);
  assertEquals(reds(grey(2, [0, 100, 200, 40]).resize(1, 1, { filter: "area" })), [85]);
});

Deno.test("RasterImage.resize() repeats pixels with the filter nearest", () => {
  const large = grey(2, [1, 2, 3, 4]).resize(4, 6, { filter: "nearest" });
  const expected = [1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4, 3, 3, 4, 4];
  assertEquals(reds(large), expected);
  assertEquals(reds(large.resize(2, 2, { filter: "nearest" })), [1, 2, 3, 4]);
});

Deno.test("RasterImage.resize() covers from the middle, and contains in the middle", () => {
  const wide = grey(4, [10, 20, 30, 40]);
  const filter = "area";
  assertEquals(reds(wide.resize(2, 1, { fit: "cover", filter })), [20, 30]);
  assertEquals(reds(wide.resize(1, 1, { fit: "cover", filter })), [25]);
  assertEquals(reds(wide.resize(2, 2, { fit: "cover", filter })), [20, 30, 20, 30]);
  assertEquals(reds(wide.resize(2, 2, { fit: "fill", filter })), [15, 35, 15, 35]);
  const tall = grey(1, [10, 20, 30, 40]);
  assertEquals(reds(tall.resize(1, 2, { fit: "cover", filter })), [20, 30]);
  assertEquals(reds(tall.resize(2, 2, { fit: "cover", filter })), [20, 20, 30, 30]);
  const inside = wide.resize(4, 3, { fit: "contain", filter });
  assertEquals(reds(inside), [0, 0, 0, 0, 10, 20, 30, 40, 0, 0, 0, 0]);
  assertEquals([...inside.data.filter((_, i) => i % 4 === 3)], [
    ...[0, 0, 0, 0],
    ...[255, 255, 255, 255],
    ...[0, 0, 0, 0],
  ]);
  // A line stays a line.
  assertEquals(grey(100, new Array(100).fill(7)).resize(10, 10, { fit: "contain" }).height, 10);
});

Deno.test("RasterImage.resize() does not let the colour of transparent pixels show", () => {
  const image = new RasterImage(Uint8ClampedArray.of(200, 100, 0, 255, 0, 255, 255, 0), 2, 1);
  assertEquals([...image.resize(1, 1, { filter: "area" }).data], [200, 100, 0, 128]);
});

Deno.test("RasterImage.resize() refuses what has no meaning", () => {
  assertThrows(() => photo.resize(0, 5), RangeError, "Cannot resize the image: width is 0");
  assertThrows(() => photo.resize(5, 1.5), RangeError, "height is 1.5");
  assertThrows(() => photo.resize(2 ** 20, 2 ** 20), RangeError, "width · height is");
  const wrong = (options: Record<string, unknown>) => () => photo.resize(5, 5, options);
  assertThrows(wrong({ fit: "stretch" }), RangeError, `fit is "stretch", expected "fill"`);
  assertThrows(wrong({ filter: "cubic" }), RangeError, `filter is "cubic", expected "lanczos"`);
  assertThrows(wrong({ fitt: "cover" }), TypeError, "did you mean fit?");
});
