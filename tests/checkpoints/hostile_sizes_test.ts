// Small files that stand for much: what they cost follows their size and not what they claim.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openFile, openFolder } from "../../src/checkpoints/folders.ts";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";
import { readKnownNames } from "../../src/conditioning/known_names.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import type { FileSource } from "../../src/files/source.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { withinBounds } from "../within.ts";
import { encodeZip } from "./torch/zip_writer.ts";

/** An empty dict, as metadata of a view. */
const NO_MARKS = "ccollections\nOrderedDict\n)R";

/** A view of `count` of the bytes of storage 0, from `offset`, as `torch.save` writes it. */
function view(
  name: string,
  storage: number,
  offset: number,
  count: number,
  metadata = `${NO_MARKS}t`,
): string {
  const int = (value: number) =>
    `J${String.fromCharCode(...[0, 8, 16, 24].map((shift) => value >>> shift & 0xff))}`;
  const text = (value: string) => `U${String.fromCharCode(value.length)}${value}`;
  const persistent = `(${text("storage")}ctorch\nByteStorage\n${text("0")}${text("cpu")}` +
    `${int(storage)}tQ`;
  return `${text(name)}ctorch._utils\n_rebuild_tensor_v2\n(${persistent}${int(offset)}` +
    `${int(count)}\x85K\x01\x85\x89${metadata}R`;
}

/** A torch file with a storage of a byte, whose pickle is given as Latin-1 text. */
async function pickled(text: string): Promise<FileSource> {
  const pickle = Uint8Array.from(`\x80\x02${text}.`, (c) => c.charCodeAt(0));
  return memoryFile("x.pth", await encodeZip([["a/data.pkl", pickle], ["a/data/0", "x"]]));
}

/** A torch file of one deflated storage of zeros, and many views of it. */
async function torchFile(
  bytes: number,
  views: readonly (readonly [offset: number, count: number])[],
): Promise<Uint8Array<ArrayBuffer>> {
  const items = views.map(([offset, count], i) => view(`t${i}`, bytes, offset, count));
  const pickle = Uint8Array.from(`\x80\x02}(${items.join("")}u.`, (c) => c.charCodeAt(0));
  const files = [["a/data.pkl", pickle], ["a/data/0", new Uint8Array(bytes)]] as const;
  return await encodeZip(files, { deflate: true });
}

/** A file in memory that counts the bytes read of it. */
function counted(bytes: Uint8Array<ArrayBuffer>): { file: FileSource; read: () => number } {
  const file = memoryFile("views.pth", bytes);
  let sum = 0;
  const read = (offset: number, length: number) => {
    sum += length;
    return file.read(offset, length);
  };
  return { file: { ...file, read }, read: () => sum };
}

Deno.test("openArrays() unpacks a storage once, however many views there are of it", async () => {
  const size = 16 * 2 ** 20;
  const bytes = await torchFile(size, Array.from({ length: 300 }, (_, i) => [size - 1 - i, 1]));
  const { file, read } = counted(bytes);
  await using source = await openArrays(file);
  const before = read();
  for (const name of source.names()) assertEquals((await source.loadStored(name)).shape, [1]);
  assert(read() - before <= bytes.length, `${read() - before} bytes of ${bytes.length} were read`);
  // What was unpacked is not kept for good.
  source.release();
  await source.loadStored("t0");
  assert(read() - before > bytes.length / 2);
});

Deno.test("openArrays() refuses torch files that read what they hold over and over", async () => {
  const size = 2 ** 22;
  const whole = Array.from({ length: 20 }, () => [0, size] as const);
  const file = memoryFile("views.pth", await torchFile(size, whole));
  await assertRejects(() => openArrays(file), SyntaxError, "of storages that hold 4194304");
});

Deno.test("openArrays() refuses packed storages with several views that are too big to keep", async () => {
  const file = memoryFile("views.pth", await torchFile(80 * 2 ** 20, [[0, 1], [1, 1]]));
  await assertRejects(() => openArrays(file), SyntaxError, "unpack to 83886080 bytes");
});

Deno.test("openArrays() refuses tensors with more marks than PyTorch knows", async () => {
  const marks = (count: number) => {
    const items = Array.from({ length: count }, (_, i) => `K${String.fromCharCode(i)}\x89`);
    return `N}(${items.join("")}ut`;
  };
  await using source = await openArrays(await pickled(`}(${view("a", 1, 0, 1, marks(16))}u`));
  assertEquals((await source.loadStored("a")).shape, [1]);
  const file = await pickled(`}(${view("a", 1, 0, 1, marks(17))}u`);
  await assertRejects(() => openArrays(file), SyntaxError, "a malformed tensor");
});

Deno.test("openArrays() counts all that it looks at in search of tensors", async () => {
  const times = (count: number, one: string) => Array(count).fill(one).join("");
  // A dict of 2000 keys that name nothing, 600 times in one list.
  const keys = times(2000, ")N");
  const dicts = `}(${view("a", 1, 0, 1)}U\x01b](}q\x01(${keys}u${times(599, "h\x01")}eu`;
  // A tensor 5000 times in a list below a key of 3900 characters.
  const key = `X${String.fromCharCode(3900 & 0xff, 3900 >> 8)}\0\0${"k".repeat(3900)}`;
  const tensor = view("", 1, 0, 1).slice("U\0".length);
  const names = `}(${key}](${tensor}q\x01${times(4999, "h\x01")}eu`;
  for (const text of [dicts, names]) {
    const file = await pickled(text);
    await assertRejects(() => openArrays(file), SyntaxError, "nested too deeply");
  }
});

Deno.test("openArrays() refuses a chain of functions that make tensors with attributes", async () => {
  const depth = 20_000;
  const made = "ctorch._tensor\n_rebuild_from_type_v2\n";
  const chain = `${made}(${`${made}N(`.repeat(depth)}${"t".repeat(depth)}tR`;
  const file = await pickled(`}(U\x01a${chain}u`);
  await assertRejects(() => openArrays(file), SyntaxError, "a malformed tensor with attributes");
});

Deno.test("parseOriginalConfig() refuses YAML that stands for far more than it says", async () => {
  const level = (i: number) => `a${i}: &a${i} [${Array(10).fill(i ? `*a${i - 1}` : "x").join()}]\n`;
  const bomb = Array.from({ length: 12 }, (_, i) => level(i)).join("");
  const keys = Array.from({ length: 1500 }, (_, i) => `k${i}: 1`).join(", ");
  const merges = `a: &a {${keys}}\nb:\n${"- {<<: *a}\n".repeat(1000)}`;
  const cases: [text: string, message: string][] = [
    [`${bomb}model: {target: *a11}`, "stands for more than 10000 values"],
    ["model: {target: &a [*a]}", "stands for more than 10000 values"],
    [`model: {target: ${"[".repeat(5000)}`, "it is not valid YAML"],
    [`model: {target: ${"[".repeat(500)}${"]".repeat(500)}}`, "deeper than 64 levels"],
    [merges, "stands for more than 10000 values"],
    [`a: ${"x".repeat(40_000)}`, "it is 40003 characters long"],
    ["a: !<\x1b[2J> 1", "it is not valid YAML"],
  ];
  for (const [text, message] of cases) {
    await withinBounds(message, () => {
      const error = assertThrows(() => parseOriginalConfig(text, "x.yaml"), SyntaxError, message);
      // deno-lint-ignore no-control-regex -- that is what must not be there
      assert(error.message.length < 400 && !/[\x00-\x1f]/.test(error.message), error.message);
    });
  }
});

Deno.test("readKnownNames() takes many names with a word in common in a time that follows their number", async () => {
  const lists = Array.from({ length: 4 }, (_, list) => [
    `list ${list}`,
    Array.from({ length: 100_000 }, (_, i) => `cat ${list}-${i}`),
  ]);
  const text = JSON.stringify({ names: Object.fromEntries(lists) });
  const folder = memoryFolder({ "names.json": text }, "many");
  await withinBounds("reading 400 000 names", async () => {
    const known = await readKnownNames(folder);
    assert(known?.understand("a cat 3-99999").names.includes("cat 3-99999"));
    assertEquals(known?.understand("a cat"), { names: [], others: ["cat"] });
  });
});

Deno.test({
  name: "openFile() and openFolder() do not wait for a pipe or read a device",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryFolder(async (path) => {
      const { success } = await new Deno.Command("mkfifo", { args: [`${path}/config.json`] })
        .output();
      assert(success);
      const folder = await openFolder(path);
      const attempts = [
        () => openFile(`${path}/config.json`),
        () => folder.open("config.json"),
        () => folder.readText("config.json"),
        () => openFile("/dev/zero"),
      ];
      for (const attempt of attempts) {
        await assertRejects(attempt, TypeError, "is a pipe, socket or device, expected a file");
      }
      assertEquals(await folder.has("config.json"), false);
    }),
});

Deno.test("errors of the file system name the file", () =>
  inTemporaryFolder(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "");
    const folder = await openFolder(path);
    const long = "x".repeat(250);
    const deep = Array(30).fill(long).join("/");
    for (const name of ["file/below", deep]) {
      const error = await assertRejects(() => folder.open(name), Error, "Cannot ");
      assert(error.message.includes(path), error.message);
    }
    await assertRejects(() => folder.open("x".repeat(300)), RangeError, "a path inside the folder");
    await assertRejects(() => folder.open("\ud800"), RangeError, "a path inside the folder");
  }));

Deno.test("URLs that are no UTF-8 are taken and shown as they are", async () => {
  const wrong = "file:///tmp/%E0%A4%A";
  await assertRejects(() => openFile(wrong), MissingFileError, "%E0%A4%A");
  const fetch = () => Promise.resolve(new Response(null, { status: 404 }));
  const folder = await openFolder("http://127.0.0.1/%E0%A4%A/%1b%5B2J", { fetch });
  assert(folder.description.includes("%E0%A4%A"));
  const other = await openFolder("http://127.0.0.1/%1b%5B2J", { fetch });
  assertEquals(other.description, "http://127.0.0.1/\\u001b[2J");
});
