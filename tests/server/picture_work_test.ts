// What is made of large pictures on another thread is what is made of them on this one.

import { assert, assertEquals } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { make, type PictureWork, workOn } from "../../src/server/picture_work.ts";
import { countWorkers } from "../counted_workers.ts";

/** A picture of columns that are lighter or darker, and less or more transparent. */
function picture(width: number, height: number): RasterImage {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    return (i >> 2) % width * 7 % 256;
  });
  return new RasterImage(data, width, height);
}

const WORKS: readonly PictureWork[] = [
  { make: "mask of transparency" },
  { make: "mask of painting", inverted: false },
  { make: "mask of painting", inverted: true },
  { make: "mask of size", width: 7, height: 9 },
];

Deno.test("workOn() makes the same of pictures on another thread as on this one", async () => {
  const seen = new Set<string>();
  for (const work of WORKS) {
    for (const [image, workers] of [[picture(1024, 256), 1], [picture(512, 256), 0]] as const) {
      const expected = make(image, work);
      let made: RasterImage | undefined;
      assertEquals(await countWorkers(async () => made = await workOn(image, work)), workers);
      assert(made instanceof RasterImage);
      assertEquals([made.width, made.height], [expected.width, expected.height]);
      assert(made.data.every((value, i) => value === expected.data[i]), work.make);
      const sum = made.data.reduce((sum, value, i) => sum + value * (i % 97), 0);
      seen.add(`${made.width} ${made.height} ${sum}`);
    }
  }
  // The inverse of a painting's mask is that of transparency.
  assertEquals(seen.size, 2 * WORKS.length - 2);
});
