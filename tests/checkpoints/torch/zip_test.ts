import { assertEquals, assertRejects } from "@std/assert";
import { memoryFile } from "../../../src/files/memory_folder.ts";
import { ZipArchive } from "../../../src/checkpoints/torch/zip.ts";
import { encodeZip } from "./zip_writer.ts";

const content = new Uint8Array(300_000).map((_, i) => (i * i) >> 9);
const files = [["a/one", "hello"], ["a/two", content], ["ü", new Uint8Array()]] as const;

function open(bytes: Uint8Array<ArrayBuffer>): Promise<ZipArchive> {
  return ZipArchive.open(memoryFile("x.zip", bytes));
}

/** A copy with little-endian numbers of 16 or 32 bits replaced. */
function patch(
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
  value: number,
  size: 2 | 4 = 4,
): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  if (size === 2) view.setUint16(offset, value, true);
  else view.setUint32(offset, value, true);
  return copy;
}

Deno.test("ZipArchive reads stored and deflated entries, whole and in part, also zip64", async () => {
  for (const deflate of [false, true]) {
    for (const zip64 of [false, true]) {
      const archive = await open(await encodeZip(files, { deflate, zip64 }));
      assertEquals(archive.names(), ["a/one", "a/two", "ü"]);
      assertEquals(archive.size("a/two"), content.length);
      assertEquals(new TextDecoder().decode(await archive.read("a/one", 5)), "hello");
      assertEquals(await archive.read("a/two", 1e6), content);
      assertEquals(await archive.readRange("a/two", 100_000, 70_000), content.slice(1e5, 17e4));
      assertEquals((await archive.read("ü", 0)).length, 0);
      await assertRejects(() => archive.read("a/one", 4), RangeError, "at most 4 may be");
      await assertRejects(() => archive.read("b", 4), RangeError, "there is no such file");
      await assertRejects(() => archive.readRange("a/one", 3, 3), RangeError, "5 bytes long");
    }
  }
});

Deno.test("ZipArchive.open() refuses damaged archives with the reason", async () => {
  const zip = await encodeZip(files);
  const end = zip.length - 22;
  const directory = new DataView(zip.buffer).getUint32(end + 16, true);
  const second = directory + 46 + "a/one".length;
  const cases: [Uint8Array<ArrayBuffer>, typeof SyntaxError | typeof TypeError, string][] = [
    [new Uint8Array(), SyntaxError, "no zip directory"],
    [zip.slice(0, -1), SyntaxError, "no zip directory"],
    [patch(zip, end + 12, 1e9), SyntaxError, "beyond the end of the file"],
    [patch(zip, end + 16, 1e9), SyntaxError, "beyond the end of the file"],
    [patch(zip, end + 10, 7, 2), SyntaxError, "has 3 of 7 entries"],
    [patch(zip, directory, 0), SyntaxError, "has 0 of 3 entries"],
    [patch(zip, directory + 28, 9999, 2), SyntaxError, "is cut off"],
    [patch(zip, directory + 8, 1, 2), TypeError, '"a/one" is encrypted'],
    [patch(zip, directory + 10, 14, 2), TypeError, "the compression method 14"],
    [patch(zip, directory + 24, 6), SyntaxError, "cannot have 6 bytes in 5"],
    [patch(zip, directory + 24, 0xffffffff), SyntaxError, "has no zip64 field"],
    [patch(zip, second + 42, 0), SyntaxError, "overlaps another entry"],
    [patch(zip, second + 42, directory - 40), SyntaxError, "beyond the end of the file"],
    [await encodeZip([["a", "1"], ["a", "2"]]), SyntaxError, '"a" occurs twice'],
  ];
  for (const [bytes, type, message] of cases) {
    await assertRejects(() => open(bytes), type, message);
  }
  const long = await encodeZip(files, { zip64: true });
  const locator = long.length - 22 - 20;
  await assertRejects(() => open(patch(long, locator + 8, 1e9)), SyntaxError, "out of range");
  await assertRejects(() => open(patch(long, locator + 8, 0)), SyntaxError, "where it should be");
  await assertRejects(() => open(patch(long, locator + 12, 1e9)), SyntaxError, "not an offset");
});

Deno.test("ZipArchive.read() refuses damaged entries with the reason", async () => {
  const zip = await encodeZip(files);
  const broken = await open(patch(zip, 0, 0));
  await assertRejects(() => broken.read("a/one", 10), SyntaxError, '"a/one" has no header');
  const flipped = await open(patch(zip, 64, 0));
  await assertRejects(() => flipped.read("a/one", 10), SyntaxError, "does not fit its checksum");
  const deflated = await encodeZip(files, { deflate: true });
  const garbled = await open(patch(deflated, 64, 0xffffffff));
  await assertRejects(() => garbled.read("a/one", 10), SyntaxError, '"a/one" cannot be unpacked');
});

Deno.test("ZipArchive refuses an entry that promises more than deflate can hold", async () => {
  const zip = await encodeZip([["bomb", new Uint8Array(1000)]], { deflate: true });
  const directory = new DataView(zip.buffer).getUint32(zip.length - 6, true);
  const bomb = patch(zip, directory + 24, 2 ** 31);
  await assertRejects(() => open(bomb), SyntaxError, '"bomb" cannot have 2147483648 bytes');
  const archive = await open(patch(zip, directory + 24, 1100));
  await assertRejects(() => archive.read("bomb", 2000), SyntaxError, "unpacks to 1000 bytes");
});

Deno.test("ZipArchive reads an entry again after its file could not be read", async () => {
  const file = memoryFile("x.zip", await encodeZip(files));
  let fails = false;
  const read: typeof file.read = (offset, length) =>
    fails ? Promise.reject(new Error("lost")) : file.read(offset, length);
  const archive = await ZipArchive.open({ ...file, read });
  fails = true;
  await assertRejects(() => archive.read("a/one", 5), Error, "lost");
  fails = false;
  assertEquals(new TextDecoder().decode(await archive.read("a/one", 5)), "hello");
});
