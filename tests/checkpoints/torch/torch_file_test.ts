import { assert, assertEquals, assertRejects } from "@std/assert";
import { float32Values } from "../../../src/backends/host_arrays.ts";
import { type ArraySource, type StoredArray, typedArray } from "../../../src/checkpoints/arrays.ts";
import { openFolder } from "../../../src/checkpoints/folders.ts";
import { memoryFile } from "../../../src/files/memory_folder.ts";
import { parseSafetensors } from "../../../src/checkpoints/safetensors.ts";
import { openTorchFile } from "../../../src/checkpoints/torch/torch_file.ts";
import { openWeights } from "../../../src/checkpoints/weights.ts";
import { serveFiles } from "../../files/file_server.ts";
import { encodeLegacyTorchFile, encodeTorchFile } from "./torch_writer.ts";
import { encodeZip } from "./zip_writer.ts";

const FIXTURES = new URL("../../fixtures/torch_pickle/", import.meta.url);

async function read(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return await Deno.readFile(new URL(name, FIXTURES));
}

function array(values: number[], shape = [values.length]): StoredArray {
  return { dtype: "F32", shape, bytes: new Uint8Array(new Float32Array(values).buffer) };
}

/** Compares all arrays, bit for bit; the expected halves are widened, booleans are bytes. */
async function compare(
  source: ArraySource,
  expected: ReadonlyMap<string, StoredArray>,
): Promise<void> {
  assertEquals(source.names().toSorted(), [...expected.keys()].toSorted());
  for (const [name, { dtype, shape, bytes }] of expected) {
    assertEquals(source.shape(name), shape, name);
    const found = await source.loadStored(name);
    assertEquals(found.shape, shape, name);
    if (found.dtype === "F16" || found.dtype === "BF16") {
      const wide = float32Values(await source.load(name));
      assertEquals(wide, typedArray({ dtype, shape, bytes }), name);
    } else {
      assertEquals(found.dtype === "BOOL" ? "U8" : found.dtype, dtype, name);
      assertEquals(found.bytes, bytes.slice(), name);
    }
  }
}

for (
  const name of ["zip", "legacy", "protocol4", "renamed_root_deflated", "nested"]
) {
  Deno.test(`openTorchFile() reads ${name}.bin as PyTorch does`, async () => {
    const expected = parseSafetensors(await read("expected.safetensors"));
    await using source = await openTorchFile(memoryFile(name, await read(`${name}.bin`)));
    await compare(source, expected);
  });
}

Deno.test("openTorchFile() reads the state dict of a module", async () => {
  const expected = parseSafetensors(await read("expected_module_state_dict.safetensors"));
  await using source = await openTorchFile(
    memoryFile("module", await read("module_state_dict.bin")),
  );
  await compare(source, expected);
});

Deno.test("openTorchFile() refuses to call a function of Python, by name", async () => {
  const bytes = await read("must_refuse.bin");
  await assertRejects(
    () => openTorchFile(memoryFile("evil.bin", bytes)),
    TypeError,
    'Cannot read evil.bin: it uses "__builtin__.print", which is not allowed',
  );
});

Deno.test("openTorchFile() reads over http by ranges only what is asked for", async () => {
  const value = { small: array([1, 2]), big: array(Array(5_000_000).fill(1)), last: array([3]) };
  const bytes = await encodeTorchFile(value);
  await using server = serveFiles({ "pytorch_model.bin": bytes });
  const folder = await openFolder(server.url);
  await using source = await openWeights(folder, ["model.safetensors", "pytorch_model.bin"]);
  assertEquals((await source.load("small")).data, new Float32Array([1, 2]));
  assertEquals((await source.load("last")).data, new Float32Array([3]));
  assertEquals(server.log.map((line) => line.replace("pytorch_model.bin ", "")), [
    "HEAD model.safetensors",
    "HEAD pytorch_model.bin",
    "GET bytes=0-8388607",
    `GET bytes=16777216-${bytes.length - 1}`,
  ]);
});

Deno.test("openTorchFile() names nested tensors by the keys that lead to them", async () => {
  const value = {
    last_epoch: 3,
    model: { "transformer.weight": array([1, 2, 3, 4], [2, 2]) },
    ema: { "transformer.weight": array([5, 6, 7, 8], [2, 2]) },
    optimizer: [{ state: null, moments: [array([9])] }],
  };
  const files = [
    await encodeTorchFile(value),
    await encodeTorchFile(value, { zip64: true }),
    encodeLegacyTorchFile(value),
  ];
  for (const bytes of files) {
    await using source = await openTorchFile(memoryFile("checkpoint.pth", bytes));
    assertEquals(source.names(), [
      "model.transformer.weight",
      "ema.transformer.weight",
      "optimizer.0.moments.0",
    ]);
    const { data } = await source.load("ema.transformer.weight");
    assertEquals(data, new Float32Array([5, 6, 7, 8]));
    await assertRejects(() => source.load("none"), RangeError, "has no such array");
  }
});

Deno.test("openTorchFile() reads a tensor that is in no dict", async () => {
  const bytes = await encodeTorchFile(array([1, 2]));
  await using source = await openTorchFile(memoryFile("codes.pt", bytes));
  assertEquals(source.names(), ["tensor"]);
  assertEquals((await source.load("tensor")).data, new Float32Array([1, 2]));
});

Deno.test("openTorchFile() refuses files without tensors and of other kinds", async () => {
  const cases: [Uint8Array<ArrayBuffer>, string][] = [
    [new Uint8Array(), "torch.save did not write it"],
    [new TextEncoder().encode("<!doctype html>"), "torch.save did not write it"],
    [await encodeTorchFile({}), "it is not a dict of tensors"],
    [await encodeTorchFile({ a: { b: array([1]) }, "a.b": array([1]) }), '"a.b" occurs twice'],
    [await encodeZip([["readme", "x"]]), "expected one data.pkl in it"],
    [await encodeZip([["a/data.pkl", "N."], ["b/data.pkl", "N."]]), "expected one data.pkl"],
    [await encodeZip([["a/data.pkl", "N."]]), "it is not a dict of tensors"],
    [encodeLegacyTorchFile({ a: array([1]) }).slice(0, -1), "need 221 bytes, the file is 220"],
  ];
  for (const [bytes, message] of cases) {
    await assertRejects(() => openTorchFile(memoryFile("x", bytes)), SyntaxError, message);
  }
  const big = await encodeZip([["a/data.pkl", "N."], ["a/byteorder", "big"]]);
  await assertRejects(() => openTorchFile(memoryFile("x", big)), TypeError, 'byte order is "big"');
});

/** A torch file with one storage "0" and this pickle. */
async function crafted(pickle: string, bytes = 8): Promise<ArraySource> {
  const file = await encodeZip([
    ["a/data.pkl", Uint8Array.from(pickle, (c) => c.charCodeAt(0))],
    ["a/data/0", new Uint8Array(bytes)],
  ]);
  return await openTorchFile(memoryFile("crafted", file));
}

/** Pickle of a dict with one tensor of a storage of two floats. */
function tensor(offset: string, shape: string, strides: string, length = "K\x02"): string {
  const storage = `(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu${length}tQ`;
  return `}U\x01actorch._utils\n_rebuild_tensor_v2\n(${storage}${offset}${shape}${strides}\x89NtRs.`;
}

Deno.test("openTorchFile() checks tensors before it takes memory", async () => {
  await using sound = await crafted(tensor("K\x01", "K\x01\x85", "K\x01\x85"));
  assertEquals((await sound.load("a")).shape, [1]);
  const huge = "\x8a\x06\xff\xff\xff\xff\xff\x00";
  const cases: [string, string][] = [
    [tensor("K\x01", "K\x02\x85", "K\x01\x85"), "a tensor of shape (2) leads out of its storage"],
    [tensor("K\x03", "K\x01\x85", "K\x01\x85"), "leads out of its storage"],
    [tensor("K\x00", `${huge}\x85`, "K\x01\x85"), "leads out of its storage"],
    [tensor("K\x00", `${huge}\x85`, "K\x00\x85"), "repeats too few elements"],
    [tensor("K\x00", `${huge}${huge}\x86`, "K\x00K\x00\x86"), "leads out of its storage"],
    [tensor("K\x00", "K\x02\x85", "K\x01K\x01\x86"), "leads out of its storage"],
    [tensor("J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85"), "it has a malformed tensor"],
    [tensor("K\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85"), "it has a malformed tensor"],
    [tensor("K\x00", "K\x02\x85", "J\xff\xff\xff\xff\x85"), "it has a malformed tensor"],
    [tensor("K\x00", "N", "N"), "it has a malformed tensor"],
    [tensor("K\x00", "K\x02\x85", "K\x01\x85", huge), "has 8 bytes"],
    [tensor("K\x00", "K\x02\x85", "K\x01\x85", "N"), "it mentions a malformed storage"],
    ["}U\x01a]q\x00h\x00as.", "it is nested too deeply"],
  ];
  for (const [pickle, message] of cases) {
    await assertRejects(() => crafted(pickle), SyntaxError, message);
  }
});

Deno.test("openTorchFile() closes the file when it cannot read it", async () => {
  let closed = false;
  const file = memoryFile("x", new Uint8Array(100));
  const watched = {
    description: file.description,
    size: file.size,
    read: file.read.bind(file),
    release: () => file.release(),
    [Symbol.asyncDispose]() {
      closed = true;
      return Promise.resolve();
    },
  };
  await assertRejects(() => openTorchFile(watched), SyntaxError);
  assert(closed);
});
