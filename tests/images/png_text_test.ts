import { assertEquals, assertRejects } from "@std/assert";
import { readPngTexts, withPngTexts } from "../../src/images/png_text.ts";
import { RasterImage } from "../../src/images/raster_image.ts";

const IMAGE = new RasterImage(Uint8ClampedArray.from([1, 2, 3, 255]), 1, 1);

/** A chunk, whose checksum nobody looks at. */
function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  new DataView(bytes.buffer).setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  return bytes;
}

/** The file of an image with chunks before its end. */
async function fileWith(...chunks: Uint8Array[]): Promise<Uint8Array> {
  const png = await IMAGE.toPng();
  const end = png.length - 12;
  const parts = [png.slice(0, end), ...chunks.map((part) => part.slice()), png.slice(end)];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function deflated(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOf(text: string, rest: Uint8Array = new Uint8Array()): Uint8Array {
  return Uint8Array.of(...new TextEncoder().encode(text), ...rest);
}

Deno.test("withPngTexts() puts texts of every script into a file that stays readable", async () => {
  const texts = {
    parameters: "a café\nSteps: 5",
    "vq-diffusion": `{"prompt":"чай 🍵"}`,
    empty: "",
  };
  const file = await withPngTexts(await IMAGE.toPng(), texts);
  assertEquals(Object.fromEntries(await readPngTexts(file)), texts);
  // Reading checks the checksums of all chunks.
  assertEquals(await RasterImage.decode(file), IMAGE);
  const text = new TextDecoder("latin1").decode(file);
  assertEquals(text.match(/tEXt(parameters|empty)\0|iTXtvq-diffusion\0{5}/g)?.length, 3);
});

Deno.test("withPngTexts() writes no character that would end the text", async () => {
  const file = await withPngTexts(await IMAGE.toPng(), { a: "x\0y", b: "ч\0y" });
  assertEquals(Object.fromEntries(await readPngTexts(file)), { a: "x y", b: "ч y" });
});

Deno.test("readPngTexts() reads compressed texts of other programs, and the first of a keyword", async () => {
  const file = await fileWith(
    chunk("zTXt", bytesOf("z\0\0", await deflated("small"))),
    chunk("iTXt", bytesOf("i\0\x01\0de\0ї\0", await deflated("чай"))),
    chunk("tEXt", bytesOf("z\0second")),
    chunk("teXt", bytesOf("private\0no")),
  );
  assertEquals(Object.fromEntries(await readPngTexts(file)), { z: "small", i: "чай" });
});

Deno.test("readPngTexts() leaves out what is damaged or far too long", async () => {
  const file = await fileWith(
    chunk("tEXt", bytesOf("no end")),
    chunk("tEXt", bytesOf("\0no keyword")),
    chunk("zTXt", bytesOf("broken\0\0\x01\x02")),
    chunk("zTXt", bytesOf("bomb\0\0", await deflated(" ".repeat(2 ** 20 + 1)))),
    chunk("iTXt", bytesOf("short\0\0")),
    chunk("tEXt", bytesOf("good\0text")),
  );
  assertEquals(Object.fromEntries(await readPngTexts(file)), { good: "text" });
  const cut = file.subarray(0, file.length - 20);
  assertEquals((await readPngTexts(cut)).size, 0);
  const message = "Cannot read the texts of the PNG file: it is no PNG file";
  await assertRejects(() => readPngTexts(bytesOf("GIF89a")), SyntaxError, message);
  await assertRejects(() => withPngTexts(bytesOf("GIF89a"), {}), SyntaxError, message);
});

Deno.test("readPngTexts() reads a mebibyte of compressed texts of a file, not of each", async () => {
  const half = await deflated(" ".repeat(2 ** 19));
  const texts = await readPngTexts(
    await fileWith(
      chunk("zTXt", bytesOf("a\0\0", half)),
      chunk("iTXt", bytesOf("b\0\x01\0\0\0", half)),
      chunk("zTXt", bytesOf("c\0\0", await deflated("beyond"))),
      chunk("tEXt", bytesOf("d\0not compressed")),
    ),
  );
  assertEquals([...texts.keys()], ["a", "b", "d"]);
  // Texts of nothing take time, too.
  const empty = await deflated("");
  const chunks = Array.from({ length: 1025 }, (_, i) => {
    return chunk("zTXt", bytesOf(`${i}\0\0`, empty));
  });
  assertEquals((await readPngTexts(await fileWith(...chunks))).size, 1024);
});
