import { assertEquals, assertThrows } from "@std/assert";
import { enlarge } from "../../src/images/enlarge.ts";
import { RasterImage } from "../../src/images/raster_image.ts";

/** An image whose pixels are these shades. */
function image(shades: readonly number[], width: number): RasterImage {
  const data = Uint8ClampedArray.from(shades.flatMap((shade) => [shade, 0, 9, 255]));
  return new RasterImage(data, width, shades.length / width);
}

Deno.test("enlarge() makes a square of each pixel", () => {
  const shades = [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6];
  assertEquals(enlarge(image([1, 2, 3, 4, 5, 6], 3), 2), image(shades, 6));
  assertEquals(enlarge(image([1, 2], 1), 1), image([1, 2], 1));
});

Deno.test("enlarge() refuses factors that are none, and images that become too big", () => {
  const refuse = (factor: number, message: string) =>
    assertThrows(() => enlarge(image([1, 2], 2), factor), RangeError, message);
  refuse(0, "Cannot enlarge an image: factor is 0, expected a whole number of at least 1");
  refuse(1.5, "factor is 1.5");
  refuse(6000, "factor is 6000, expected at most 5792 for 2 × 1 pixels");
});
