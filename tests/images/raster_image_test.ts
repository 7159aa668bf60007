import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { chunk, header, pngFile, readPng } from "./png_by_hand.ts";

/** Noise, opaque or not. */
function noise(width: number, height: number, opaque: boolean): RasterImage {
  const generator = new TorchGenerator(width);
  const data = Uint8ClampedArray.from(
    { length: width * height * 4 },
    (_, i) => opaque && i % 4 === 3 ? 255 : generator.random32() & 0xff,
  );
  return new RasterImage(data, width, height);
}

Deno.test("RasterImage.fromFloat32() rounds half to even and clamps", () => {
  // In float32, 255 times 0.5, 0.1 and 0.3 is 127.5, 25.5 and 76.5: NumPy makes it 128, 26 and 76.
  const values = [
    0,
    1,
    0.5,
    0.1,
    0.3,
    -0.1,
    1.1,
    Infinity,
    NaN,
    1.5 / 255,
    2.5 / 255,
    3.4999 / 255,
  ];
  const image = RasterImage.fromFloat32(new Float32Array(values), 2, 2);
  assertEquals([...image.data], [
    ...[0, 255, 128, 255],
    ...[26, 76, 0, 255],
    ...[255, 255, 0, 255],
    ...[2, 2, 3, 255],
  ]);
  assertEquals([image.width, image.height], [2, 2]);
});

Deno.test("RasterImage refuses sides and data that do not fit", () => {
  const data = new Uint8ClampedArray(24);
  for (const [width, height] of [[0, 6], [6, 0], [-2, -3], [1.5, 4], [NaN, 1]] as const) {
    assertThrows(
      () => new RasterImage(data, width, height),
      RangeError,
      "a whole number of at least 1",
    );
  }
  assertThrows(
    () => new RasterImage(data, 2, 2),
    RangeError,
    "data.length is 24, expected 2 · 2 · 4",
  );
  assertThrows(
    () => new RasterImage(data, 2 ** 20, 2 ** 20),
    RangeError,
    "expected at most 268435456",
  );
  assertThrows(
    () => RasterImage.fromFloat32(new Float32Array(24), 2, 3),
    RangeError,
    "data.length is 24, expected 2 · 3 · 3",
  );
});

Deno.test("RasterImage.toPng() writes files that hold the pixels", async () => {
  // 170 · 170 · 3 bytes are more than one block of deflate takes; 1 · 1 takes another way there.
  for (const [width, height] of [[1, 1], [2, 1], [1, 5], [31, 17], [170, 170]] as const) {
    for (const opaque of [true, false]) {
      const image = noise(width, height, opaque);
      const file = await image.toPng();
      assertEquals(await readPng(file), { width, height, data: image.data });
      const back = await RasterImage.fromPng(file);
      assertEquals([back.width, back.height, back.data], [width, height, image.data]);
    }
  }
});

Deno.test("RasterImage.toPng() leaves the alpha of opaque images out, and compresses", async () => {
  const flat = new RasterImage(new Uint8ClampedArray(256 * 256 * 4).fill(255), 256, 256);
  const file = await flat.toPng();
  assertEquals(file[25], 2);
  assert(file.length < 2000, `${file.length} bytes`);
  assertEquals((await noise(8, 8, false).toPng())[25], 6);
});

Deno.test("RasterImage.fromPng() reads all colour types, filters and files in a larger buffer", async () => {
  const rows: [name: string, type: number, depth: number, row: number[], pixels: number[]][] = [
    ["grey", 0, 8, [5, 250], [5, 5, 5, 255, 250, 250, 250, 255]],
    ["16-bit grey", 0, 16, [5, 99, 250, 3], [5, 5, 5, 255, 250, 250, 250, 255]],
    ["grey with alpha", 4, 8, [5, 6, 7, 8], [5, 5, 5, 6, 7, 7, 7, 8]],
    ["colour", 2, 8, [1, 2, 3, 4, 5, 6], [1, 2, 3, 255, 4, 5, 6, 255]],
    ["with a palette", 3, 8, [1, 0], [4, 5, 6, 255, 1, 2, 3, 255]],
  ];
  for (const [name, type, depth, row, pixels] of rows) {
    const palette = type === 3 ? [chunk("PLTE", [1, 2, 3, 4, 5, 6])] : [];
    const file = await pngFile(header(2, 1, depth, type), palette, [0, ...row]);
    assertEquals([...(await RasterImage.fromPng(file)).data], pixels, name);
  }
  const filtered = [[0, 9, 8, 7], [1, 1, 1, 1], [2, 1, 1, 1], [3, 1, 1, 1], [4, 1, 1, 1]];
  const file = await pngFile(header(3, 5, 8, 0), [], filtered.flat());
  const larger = new Uint8Array(file.length + 8);
  larger.set(file, 3);
  const image = await RasterImage.fromPng(larger.subarray(3, 3 + file.length));
  const grey = image.data.filter((_, i) => i % 4 === 0);
  const expected = [[9, 8, 7], [1, 2, 3], [2, 3, 4], [2, 3, 4], [3, 4, 5]];
  assertEquals([...grey], expected.flat());
});

Deno.test("RasterImage.fromPng() refuses damaged files", async () => {
  const file = await noise(4, 4, true).toPng();
  const refuses = (bytes: Uint8Array, message: string): Promise<Error> =>
    assertRejects(() => RasterImage.fromPng(bytes), SyntaxError, message);
  for (const length of [0, 7]) await refuses(file.subarray(0, length), "it is no PNG file");
  for (let length = 8; length < file.length; length++) {
    await refuses(file.subarray(0, length), "it ends");
  }
  for (let i = 8; i < file.length; i++) {
    await refuses(file.map((byte, j) => j === i ? byte ^ 0x40 : byte), "Cannot read the PNG file");
  }
  const pixels = [0, 1, 2, 3];
  await refuses(await pngFile(header(0, 1, 8, 2), [], pixels), "it is 0 × 1 pixels");
  await refuses(await pngFile(header(2 ** 31, 2 ** 31, 8, 2), [], pixels), "pixels");
  await refuses(await pngFile(header(9999, 9999, 8, 2), [], pixels), "too few");
  await refuses(await pngFile(header(1, 1, 8, 5), [], pixels), "the colour type 5");
  await refuses(await pngFile(chunk("IHDR", []), [], pixels), "its first chunk is no header");
  const twice = header(1, 1, 8, 2);
  await refuses(await pngFile(twice, [twice], pixels), "it has 2 headers");
  await refuses(await pngFile(header(1, 1, 8, 3), [], [0, 0]), "its pixels are damaged");
});

Deno.test("RasterImage.fromPng() says what it does not support", async () => {
  const cases = [
    [header(1, 1, 4, 0), "4 bits"],
    [header(1, 1, 8, 2, 1), "interlaced"],
  ] as const;
  for (const [head, message] of cases) {
    const file = await pngFile(head, [], [0, 1, 2, 3]);
    await assertRejects(() => RasterImage.fromPng(file), TypeError, message);
  }
});
