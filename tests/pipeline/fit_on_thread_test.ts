// Large pictures are fitted on another thread, and as they would be on this one.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { fit, fitted } from "../../src/pipeline/fit_on_thread.ts";
import { countWorkers } from "../counted_workers.ts";
import { loadTiny } from "../server/service.ts";

/** A picture of columns that are lighter or darker; or of black. */
function picture(width: number, height: number, isBlack = false): RasterImage {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    return isBlack ? 0 : i % 4 === 3 ? 255 : (i >> 2) % width * 7 % 256;
  });
  return new RasterImage(data, width, height);
}

Deno.test("fitted() makes the same of large pictures on another thread as on this one", async () => {
  for (const kind of ["picture", "mask"] as const) {
    const sizes = [[1024, 256, 32, 1], [512, 256, 32, 0], [512, 512, 512, 0]] as const;
    for (const [width, height, side, workers] of sizes) {
      const image = picture(width, height);
      let made: RasterImage | undefined;
      assertEquals(await countWorkers(async () => made = await fitted(image, kind, side)), workers);
      assert(made instanceof RasterImage);
      assertEquals({ ...made }, { ...fit(image, kind, side) });
    }
  }
});

Deno.test("fitted() throws on this thread what it throws on another", async () => {
  for (const width of [64, 1024]) {
    await assertRejects(
      () => fitted(picture(width, 256, true), "mask", 32),
      RangeError,
      "maskImage has no white where the picture is drawn",
    );
  }
});

Deno.test("VQDiffusionPipeline.generate() fits large pictures and masks on another thread", async () => {
  await using pipe = await loadTiny();
  const draw = async (image: RasterImage, maskImage: RasterImage) => {
    const options = { image, maskImage, numInferenceSteps: 2, seed: 1 };
    let drawn: readonly RasterImage[] = [];
    const workers = await countWorkers(async () => {
      drawn = (await pipe.generate("a cat", options)).images;
    });
    return { drawn, workers };
  };
  const image = picture(1024, 512);
  const large = await draw(image, image);
  assertEquals(large.workers, 2);
  const side = large.drawn[0]!.width;
  const small = await draw(await fitted(image, "picture", side), await fitted(image, "mask", side));
  assertEquals(small, { drawn: large.drawn, workers: 0 });
});
