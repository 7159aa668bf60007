import { assertAlmostEquals, assertEquals } from "@std/assert";
import { Drawings, tokensOf } from "../../evaluation/drawings.ts";
import { EmojiData } from "../../evaluation/emoji_data.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQModel } from "../../src/models/vq_model.ts";
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
    await writeData(folder, ["apple", "frog", "whale"], colors);
    const data = await EmojiData.read(folder);
    const drawings = new Drawings(data, ["apple", "frog", "whale"], "noto", 16);
    const unlike = picture([90, 110, 100], 16);
    assertEquals(drawings.nearest(unlike), "frog");
    assertEquals(drawings.nearest(drawings.of("whale", "black"), "black"), "whale");
    assertEquals(drawings.nearest(drawings.of("apple")), "apple");
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
    const drawings = new Drawings(data, ["dot", "nothing", "faint"], "noto", 16);
    assertEquals(drawings.shown("dot", 2), [true, true, true, true]);
    assertEquals(drawings.shown("nothing", 2), [false, false, false, false]);
    // An opacity of 4 of 255 is less than a fiftieth.
    assertEquals(drawings.shown("faint", 2), [false, false, false, false]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tokensOf() gives tokens that decode to the picture", async () => {
  const weights = new URL("../../weights/", import.meta.url);
  const options = { subfolder: "vqvae", device: "wasm", threads: 1 } as const;
  await using vqvae = await VQModel.fromPretrained(weights, options);
  const image = picture([255, 255, 255], 64);
  // The quarters differ, so that rows, columns and channels are not mistaken for each other.
  const quarters = [[226, 60, 60], [70, 175, 90], [60, 120, 225], [252, 222, 80]] as const;
  const quarterOf = (x: number, y: number) => quarters[(y < 32 ? 0 : 2) + (x < 32 ? 0 : 1)]!;
  for (let i = 0; i < 64 * 64; i++) image.data.set(quarterOf(i % 64, Math.floor(i / 64)), i * 4);
  const tokens = await tokensOf(vqvae, image);
  assertEquals(tokens.length, 64);
  using indices = vqvae.backend.tensor(tokens, [1, 64]);
  using decoded = vqvae.decodeIndices(indices);
  const values = await decoded.data();
  for (const [x, y] of [[16, 16], [48, 16], [16, 48], [48, 48]] as const) {
    const actual = [0, 1, 2].map((c) => 127.5 * (values[(c * 64 + y) * 64 + x]! + 1));
    // The colours lie 100 and more apart; those of the model are some 10 off.
    quarterOf(x, y).forEach((value, c) => assertAlmostEquals(actual[c]!, value, 40));
  }
});
