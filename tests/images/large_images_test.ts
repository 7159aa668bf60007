// Files of large images are read and written on another thread, with the same result.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeJpeg, encodeJpeg } from "../../src/images/jpeg.ts";
import type { Pixels } from "../../src/images/pixels.ts";
import { decodePng, encodePng } from "../../src/images/png.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { countWorkers } from "../counted_workers.ts";

/** Whether bytes are the same; assertEquals would print all of them. */
function isSame(a: Uint8Array | Uint8ClampedArray, b: Uint8Array | Uint8ClampedArray): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function imageOf(width: number, height: number): RasterImage {
  const dice = new Dice(0);
  const data = Uint8ClampedArray.from(
    { length: 4 * width * height },
    (_, i) => dice.below(20) + (i >> 9 & 127),
  );
  return new RasterImage(data, width, height);
}

for (
  const [kind, image, workers] of [
    ["large", imageOf(1024, 256), 1],
    ["small", imageOf(1023, 256), 0],
  ] as const
) {
  const png = encodePng(image);
  const jpeg = encodeJpeg(image, 90);

  Deno.test(`RasterImage.decode() starts ${workers} workers for a ${kind} image, and reads the same`, async () => {
    const files = [[png, decodePng(png, 2 ** 20)], [jpeg, decodeJpeg(jpeg, 2 ** 20)]] as const;
    for (const [file, expected] of files) {
      let read: Pixels | undefined;
      const count = await countWorkers(async () => read = await RasterImage.decode(file));
      assertEquals([count, read!.width, read!.height], [workers, image.width, image.height]);
      assert(isSame(read!.data, expected.data));
      assert(read instanceof RasterImage);
    }
  });

  Deno.test(`RasterImage.toPng() and toJpeg() start ${workers} workers for a ${kind} image, and write the same`, async () => {
    for (const [name, expected] of [["toPng", png], ["toJpeg", jpeg]] as const) {
      let written: Uint8Array | undefined;
      const count = await countWorkers(async () => written = await image[name]());
      assertEquals(count, workers);
      assert(isSame(written!, expected), name);
    }
    assertEquals(image.data.length, 4 * image.width * image.height);
  });
}

Deno.test("RasterImage.decode() refuses large images that are damaged or too large", async () => {
  const image = imageOf(1024, 256);
  for (const file of [encodePng(image), encodeJpeg(image, 90)]) {
    const before = file.slice();
    await assertRejects(
      () => RasterImage.decode(file.slice(0, -2000)),
      SyntaxError,
      "Cannot read the",
    );
    const expected = "1024 × 256 pixels, expected at most 9999";
    await assertRejects(() => RasterImage.decode(file, { maxPixels: 9999 }), RangeError, expected);
    assert(isSame(file, before));
  }
});
