import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EmojiData } from "../../evaluation/emoji_data.ts";
import { writeData } from "./emoji_files.ts";

/** Red, green and blue of a pixel. */
function pixel(data: Uint8ClampedArray, x: number, y: number, side: number): number[] {
  return [...data.subarray((y * side + x) * 4, (y * side + x) * 4 + 3)];
}

Deno.test("EmojiData.pictures() puts emoji on white, at the model's size", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const colors = [[10, 20, 30, 255], [200, 0, 0, 0], [0, 0, 0, 51]];
    await writeData(folder, ["cat", "dog", "cat"], colors);
    const data = await EmojiData.read(folder);
    const [opaque, faint] = data.pictures("cat", 16);
    assertEquals([opaque!.width, opaque!.height], [16, 16]);
    assertEquals(pixel(opaque!.data, 8, 8, 16), [10, 20, 30]);
    assertEquals(pixel(faint!.data, 8, 8, 16), [204, 204, 204]);
    // The emoji is a little smaller than the picture, so that white shines through at the edge.
    assert(pixel(opaque!.data, 0, 8, 16)[0]! > 10);
    const [clear] = data.pictures("dog", 16);
    assert(clear!.data.every((value) => value === 255));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("EmojiData.drawing() gives the picture of a style on a ground", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const colors = [[10, 20, 30, 255], [200, 100, 0, 102]];
    await writeData(folder, ["cat", "cat"], colors, ["noto", "flat"]);
    const data = await EmojiData.read(folder);
    const names = [["flat"], ["flat", "noto"], ["fluent"], ["flat", "fluent"]].map((styles) => {
      return data.namesIn(...styles);
    });
    assertEquals(names, [["cat"], ["cat"], [], []]);
    const noto = data.drawing("cat", "noto", 16, [0, 0, 255]);
    assertEquals(pixel(noto.data, 8, 8, 16), [10, 20, 30]);
    // Two fifths of the emoji, three fifths of the ground.
    const flat = data.drawing("cat", "flat", 16, [100, 0, 250]);
    assertEquals(pixel(flat.data, 8, 8, 16), [140, 40, 150]);
    assertThrows(() => data.drawing("cat", "fluent", 16), RangeError, "no picture in fluent style");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("EmojiData.read() refuses pictures that are not as many as the names", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeData(folder, ["cat", "dog"], [[0, 0, 0, 255]]);
    await assertRejects(() => EmojiData.read(folder), RangeError, "256 bytes, expected 512");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
