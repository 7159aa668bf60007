import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { differences } from "./image_files.ts";
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
      const back = await RasterImage.decode(file);
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

Deno.test("RasterImage.decode() reads all colour types, filters and files in a larger buffer", async () => {
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
    assertEquals([...(await RasterImage.decode(file)).data], pixels, name);
  }
  const filtered = [[0, 9, 8, 7], [1, 1, 1, 1], [2, 1, 1, 1], [3, 1, 1, 1], [4, 1, 1, 1]];
  const file = await pngFile(header(3, 5, 8, 0), [], filtered.flat());
  const larger = new Uint8Array(file.length + 8);
  larger.set(file, 3);
  const image = await RasterImage.decode(larger.subarray(3, 3 + file.length));
  const grey = image.data.filter((_, i) => i % 4 === 0);
  const expected = [[9, 8, 7], [1, 2, 3], [2, 3, 4], [2, 3, 4], [3, 4, 5]];
  assertEquals([...grey], expected.flat());
});

Deno.test("RasterImage.decode() refuses damaged files", async () => {
  const file = await noise(4, 4, true).toPng();
  const refuses = (bytes: Uint8Array, message: string): Promise<Error> =>
    assertRejects(() => RasterImage.decode(bytes), SyntaxError, message);
  for (const length of [0, 7]) await refuses(file.subarray(0, length), "expected a PNG or JPEG");
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
  await refuses(await pngFile(header(1, 1, 4, 2), [], pixels), "4 bits a channel, expected 8, 16");
  await refuses(await pngFile(header(1, 1, 8, 2, 2), [], pixels), "interlacing are 0,0,2");
  await refuses(await pngFile(header(1, 1, 8, 2), [], [5, 1, 2, 3]), "a row has the filter 5");
  await refuses(await pngFile(header(1, 1, 8, 2), [], [0, 1, 2]), "its pixels end too early");
  const palette = chunk("PLTE", [1, 2, 3]);
  await refuses(await pngFile(header(1, 1, 8, 3), [palette], [0, 1]), "no colour 1");
  const key = chunk("tRNS", [0, 1]);
  await refuses(await pngFile(header(1, 1, 8, 2), [key], pixels), "has 2 bytes");
  await refuses(await pngFile(chunk("IHDR", []), [], pixels), "its first chunk is no header");
  const twice = header(1, 1, 8, 2);
  await refuses(await pngFile(twice, [twice], pixels), "it has 2 headers");
  await refuses(await pngFile(header(1, 1, 8, 3), [], [0, 0]), "it has no palette");
});

Deno.test("RasterImage.toFloat32() is the inverse of fromFloat32(), on white", () => {
  const all = Uint8ClampedArray.from({ length: 1024 }, (_, i) => i % 4 === 3 ? 255 : i >> 2);
  const image = new RasterImage(all, 16, 16);
  const colors = image.toFloat32();
  assertEquals(colors.length, 768);
  assertEquals([colors[3], colors[765]], [Math.fround(1 / 255), 1]);
  assertEquals(RasterImage.fromFloat32(colors, 16, 16), image);
  const clear = new RasterImage(Uint8ClampedArray.of(10, 20, 30, 0, 0, 100, 255, 51), 2, 1);
  // A fifth of the colour and four fifths of white: 204, 224, 255.
  const expected = [1, 1, 1, 204 / 255, 224 / 255, 1].map(Math.fround);
  assertEquals([...clear.toFloat32()], expected);
});

Deno.test("RasterImage.toJpeg() writes files that hold about the pixels", async () => {
  const smooth = Uint8ClampedArray.from({ length: 40 * 24 * 4 }, (_, i) => {
    const [x, y] = [(i >> 2) % 40, Math.floor(i / 160)];
    return [6 * x, 10 * y, 128, 255][i % 4]!;
  });
  const image = new RasterImage(smooth, 40, 24);
  const sizes: number[] = [];
  for (const quality of [20, 75, 100]) {
    const file = await image.toJpeg({ quality });
    const back = await RasterImage.decode(file);
    assertEquals([back.width, back.height], [40, 24]);
    const { most, mean } = differences(back.data, image.data);
    // Measured: at most 41, 12, 4; in the mean 7, 2.2, 0.5.
    const limits = { 20: [60, 10], 75: [20, 4], 100: [6, 1] }[quality]!;
    assert(most <= limits[0]! && mean <= limits[1]!, `${quality}: ${most}, ${mean}`);
    sizes.push(file.length);
  }
  assert(sizes[0]! < sizes[1]! && sizes[1]! < sizes[2]!, `${sizes}`);
  const clear = new RasterImage(new Uint8ClampedArray(4 * 64), 8, 8);
  assertEquals(new Set((await RasterImage.decode(await clear.toJpeg())).data), new Set([255]));
  await assertRejects(() => image.toJpeg({ quality: 0 }), RangeError, "quality is 0, expected");
  await assertRejects(() => image.toJpeg({ size: 1 } as object), TypeError, "unknown option");
});
