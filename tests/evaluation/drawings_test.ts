import { assertEquals, assertThrows } from "@std/assert";
import { Drawings } from "../../evaluation/drawings.ts";
import { EmojiData } from "../../evaluation/emoji_data.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { writeData } from "./emoji_files.ts";

/** A picture of one colour. */
function picture([red, green, blue]: readonly [number, number, number], side: number): RasterImage {
  const data = new Uint8ClampedArray(side * side * 4);
  for (let i = 0; i < data.length; i += 4) data.set([red, green, blue, 255], i);
  return new RasterImage(data, side, side);
}

Deno.test("Drawings.nearest() names the drawing that a picture is most like, on its ground", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const colors = [[200, 0, 0, 255], [0, 200, 0, 255], [0, 0, 200, 255]];
    await writeData(folder, ["apple", "frog", "frog"], colors, ["noto", "noto", "flat"]);
    const data = await EmojiData.read(folder);
    const drawings = new Drawings(data, ["apple", "frog"], ["noto", "flat"], 16);
    const [apple, green, blue] = [["apple", "noto"], ["frog", "noto"], ["frog", "flat"]].map(
      ([name, style]) => ({ name: name!, style: style! }),
    );
    const unlike = picture([90, 110, 100], 16);
    assertEquals(drawings.nearest(unlike), green);
    assertEquals(drawings.nearest(drawings.of("frog", "flat", "black"), "black"), blue);
    assertEquals(drawings.nearest(drawings.of("apple", "noto")), apple);
    // Of one name only, and of one style only.
    assertEquals(drawings.nearest(drawings.of("apple", "noto"), "white", "frog"), green);
    const flat = new Drawings(data, ["apple", "frog"], ["flat"], 16);
    assertEquals(flat.nearest(unlike), blue);
    assertThrows(() => flat.nearest(unlike, "white", "apple"), RangeError, "no drawing of apple");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Drawings.shown() finds the squares that a drawing reaches", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeData(folder, ["dot", "nothing", "faint"], [
      [0, 0, 0, 255],
      [0, 0, 0, 0],
      [255, 255, 255, 4],
    ]);
    const data = await EmojiData.read(folder);
    const drawings = new Drawings(data, ["dot", "nothing", "faint"], ["noto"], 16);
    assertEquals(drawings.shown("dot", "noto", 2), [true, true, true, true]);
    assertEquals(drawings.shown("nothing", "noto", 2), [false, false, false, false]);
    // An opacity of 4 of 255 is less than a fiftieth.
    assertEquals(drawings.shown("faint", "noto", 2), [false, false, false, false]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
