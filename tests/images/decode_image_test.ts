// Reading pictures that other programs wrote, and files that are none.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { differences, namesOf, readFixture, withoutAlpha } from "./image_files.ts";
import { header, pngFile } from "./png_by_hand.ts";

Deno.test("RasterImage.decode() reads PNG files of all colour types and depths as libpng does", async () => {
  const names = namesOf(".png").filter((name) => name !== "photo");
  assertEquals(names.length, 38);
  for (const name of names) {
    const image = await RasterImage.decode(readFixture(`${name}.png`));
    assertEquals([image.width, image.height], [21, 13], name);
    const expected = readFixture(`${name.replace("_interlaced", "")}.rgba16`);
    assertEquals([...image.data], [...expected.filter((_, i) => i % 2 === 0)], name);
  }
});

Deno.test("RasterImage.decode() reads JPEG files as libjpeg does, and turns them upright", async () => {
  const names = namesOf(".jpg").filter((name) => name !== "arithmetic");
  assertEquals(names.length, 16);
  for (const name of names) {
    const image = await RasterImage.decode(readFixture(`${name}.jpg`));
    const turned = /orientation[5-8]/.test(name);
    assertEquals([image.width, image.height], turned ? [27, 37] : [37, 27], name);
    // Decoders may round each step in their own way: 3 at most, 0.54 in the mean. An image that is
    // turned wrongly, or whose colours are taken for others, differs by 20 and more in the mean.
    const { most, mean } = differences(
      withoutAlpha(image.data),
      readFixture(`${name}.rgb`),
    );
    assert(most <= 4 && mean <= 0.7, `${name}: ${most}, ${mean}`);
    assert(image.data.every((value, i) => i % 4 < 3 || value === 255), name);
  }
});

Deno.test("RasterImage.decode() refuses JPEG files that are cut off or say nonsense", async () => {
  for (const name of ["baseline420", "progressive420"]) {
    const file = readFixture(`${name}.jpg`);
    for (let length = 3; length < file.length; length++) {
      await assertRejects(
        () => RasterImage.decode(file.subarray(0, length)),
        SyntaxError,
        "Cannot read the JPEG file: it ends",
        `${name}, ${length} bytes`,
      );
    }
  }
  const file = readFixture("baseline444.jpg");
  const frame = file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xc0);
  const changed = (changes: Record<number, number>) => {
    const copy = file.slice();
    for (const [at, value] of Object.entries(changes)) copy[frame + Number(at)] = value;
    return () => RasterImage.decode(copy);
  };
  const damaged = [
    [{ 5: 0, 6: 0 }, "it is 37 × 0 pixels"],
    [{ 5: 39, 6: 16, 7: 39, 8: 16 }, "968 bytes, too few for 10000 × 10000 pixels"],
    [{ 11: 0x51 }, "a channel is sampled by 5 × 1"],
    [{ 11: 0x10 }, "a channel is sampled by 1 × 0"],
    [{ 1: 0xfe }, "it has no image"],
  ] as const;
  for (const [changes, message] of damaged) {
    await assertRejects(changed(changes), SyntaxError, message);
  }
  for (const [changes, message] of [[{ 4: 12 }, "12 bits"], [{ 9: 2 }, "2 channels"]] as const) {
    await assertRejects(changed(changes), TypeError, message);
  }
  const arithmetic = readFixture("arithmetic.jpg");
  await assertRejects(() => RasterImage.decode(arithmetic), TypeError, "arithmetic code");
});

Deno.test("RasterImage.decode() takes no memory for bytes of JPEG files that are changed", async () => {
  const file = readFixture("progressive420.jpg");
  let read = 0;
  for (let i = 3; i < file.length; i++) {
    const copy = file.slice();
    copy[i]! ^= 0x55;
    try {
      const { width, height } = await RasterImage.decode(copy);
      assert(width * height <= 512 * file.length);
      read++;
    } catch (error) {
      assert(
        error instanceof Error && /^Cannot read the JPEG file: /.test(error.message),
        `${error}`,
      );
    }
  }
  // Some bytes only change colours.
  assert(read > 50 && read < file.length - 50, `${read}`);
});

Deno.test("RasterImage.decode() refuses bombs and files that are no pictures", async () => {
  const bomb = await pngFile(header(10_000, 10_000, 8, 2), [], new Array(1000).fill(0));
  assert(bomb.length < 1000);
  await assertRejects(() => RasterImage.decode(bomb), SyntaxError, "too few for 300010000");
  const smaller = await pngFile(header(8000, 8000, 1, 0), [], new Array(1000).fill(0));
  await assertRejects(() => RasterImage.decode(smaller), SyntaxError, "too few for 8008000");
  // Its pixels are 4 bytes, and what is compressed over 1 MiB.
  const wasteful = await pngFile(header(1, 1, 8, 2), [], noise(1_100_000));
  await assertRejects(() => RasterImage.decode(wasteful), SyntaxError, "too many for 4");
  const small = await pngFile(header(2, 1, 8, 0), [], [0, 1, 2]);
  await assertRejects(
    () => RasterImage.decode(small, { maxPixels: 1 }),
    RangeError,
    "it is 2 × 1 pixels, expected at most 1 pixels",
  );
  const kinds = [
    ["", "empty"],
    ["hello", "of no kind that is known"],
    ["GIF89a", "a GIF file"],
    ["RIFF....WEBPVP8 ", "a WebP file"],
    ["....ftypavif", "an AVIF or HEIC file"],
    ["<svg>", "an SVG or HTML file"],
  ] as const;
  for (const [text, kind] of kinds) {
    await assertRejects(
      () => RasterImage.decode(new TextEncoder().encode(text)),
      SyntaxError,
      `Cannot read the picture: the file is ${kind}, expected a PNG or JPEG file`,
    );
  }
  await assertRejects(
    () => RasterImage.decode("cat.png" as unknown as Uint8Array),
    TypeError,
    `the file is "cat.png", expected its bytes as a Uint8Array`,
  );
  await assertRejects(
    () => RasterImage.decode(small, { maxPixels: 0 }),
    RangeError,
    "maxPixels is 0, expected",
  );
});

/** Bytes that deflate cannot make smaller. */
function noise(length: number): number[] {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 65536) crypto.getRandomValues(bytes.subarray(i, i + 65536));
  return Array.from(bytes);
}
