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

/** Pickle of a dict with the tensors that these calls make; the last value of each is on the stack. */
function dictOf(tensors: Record<string, string>): string {
  const items = Object.entries(tensors)
    .map(([name, call]) => `X${String.fromCharCode(name.length)}\0\0\0${name}${call}`);
  return `\x80\x02}(${items.join("")}u.`;
}

/** A reference to a storage. */
function storageOf(type: string, length: number): string {
  return `(U\x07storagec${type}\nU\x010U\x03cpuK${String.fromCharCode(length)}tQ`;
}

/** A call of `_rebuild_tensor_v2` or v3 for a tensor of two elements. */
function rebuilt(storage: string, { version = "v2", last = "" } = {}): string {
  const args = `${storage}K\x00K\x02\x85K\x01\x85\x89N${last}`;
  return `ctorch._utils\n_rebuild_tensor_${version}\n(${args}tR`;
}

const FLOATS = storageOf("torch\nFloatStorage", 2);

Deno.test("openTorchFile() reads a negative view as PyTorch does", async () => {
  const url = new URL("../python_files/negative_view.pt", FIXTURES);
  await using source = await openTorchFile(memoryFile("view", await Deno.readFile(url)));
  assertEquals(source.shape("w"), [3, 4]);
  const expected = Float32Array.from({ length: 12 }, (_, i) => -i);
  assertEquals((await source.load("w")).data, expected);
});

Deno.test("openTorchFile() turns the sign of every floating point type", async () => {
  const types = [
    ["DoubleStorage", new Float64Array([1, -2])],
    ["FloatStorage", new Float32Array([1, -2])],
    ["HalfStorage", new Float16Array([1, -2])],
  ] as const;
  for (const [type, values] of types) {
    const call = rebuilt(storageOf(`torch\n${type}`, 2), { last: "}X\x03\0\0\0neg\x88s" });
    const file = await encodeZip([
      ["a/data.pkl", Uint8Array.from(dictOf({ w: call }), (c) => c.charCodeAt(0))],
      ["a/data/0", new Uint8Array(values.buffer)],
    ]);
    await using source = await openTorchFile(memoryFile("x", file));
    assertEquals(float32Values(await source.load("w")), new Float32Array([-1, 2]), type);
  }
});

Deno.test("openTorchFile() refuses views that it cannot read, and only those", async () => {
  const mark = (name: string) => `}X${String.fromCharCode(name.length)}\0\0\0${name}\x88s`;
  const cases: [call: string, bytes: number, reason: string][] = [
    [rebuilt(FLOATS, { last: mark("conj") }), 8, 'it is a view of the kind "conj"'],
    [rebuilt(FLOATS, { last: mark("other") }), 8, 'it is a view of the kind "other"'],
    [
      rebuilt(storageOf("torch\nLongStorage", 2), { last: mark("neg") }),
      16,
      "it is a negative view of int64",
    ],
    [rebuilt(storageOf("torch\nComplexFloatStorage", 2)), 16, "it is complex64"],
    [
      rebuilt(storageOf("torch.storage\nUntypedStorage", 2), {
        version: "v3",
        last: "ctorch\nfloat8_e4m3fn\n",
      }),
      2,
      "it is float8_e4m3fn",
    ],
  ];
  for (const [call, bytes, reason] of cases) {
    await using source = await crafted(dictOf({ odd: call }), bytes);
    assertEquals([source.names(), source.shape("odd")], [["odd"], [2]]);
    assertEquals(source.unreadable?.("odd"), reason);
    await assertRejects(() => source.load("odd"), TypeError, `"odd" of crafted: ${reason}`);
  }
});

Deno.test("openTorchFile() reads integers without sign, whose storages are bytes", async () => {
  const types = [
    ["uint16", new Uint16Array([1, 65535]), "U16"],
    ["uint32", new Uint32Array([1, 2 ** 32 - 1]), "U32"],
    ["uint64", new BigUint64Array([1n, 2n ** 64n - 1n]), "U64"],
  ] as const;
  for (const [name, values, dtype] of types) {
    const storage = storageOf("torch.storage\nUntypedStorage", values.byteLength);
    const call = rebuilt(storage, { version: "v3", last: `ctorch\n${name}\n` });
    const file = await encodeZip([
      ["a/data.pkl", Uint8Array.from(dictOf({ w: call }), (c) => c.charCodeAt(0))],
      ["a/data/0", new Uint8Array(values.buffer)],
    ]);
    await using source = await openTorchFile(memoryFile("x", file));
    assertEquals(source.dtype("w"), dtype);
    assertEquals(typedArray(await source.loadStored("w")), values);
  }
  const wrong = rebuilt(storageOf("torch.storage\nUntypedStorage", 7), {
    version: "v3",
    last: "ctorch\nuint32\n",
  });
  await assertRejects(() => crafted(dictOf({ w: wrong }), 7), SyntaxError, "leads out of its");
});

Deno.test("openTorchFile() reads tensors that have attributes", async () => {
  const inner = (kind: string, state: string) =>
    `ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\n` +
    `c${kind}\n(${FLOATS}K\x00K\x02\x85K\x01\x85\x89Nt${state}tR`;
  for (const kind of ["torch\nTensor", "torch.nn.parameter\nParameter"]) {
    for (const state of ["}U\x03tagK\x01s", "}N\x86"]) {
      await using source = await crafted(dictOf({ w: inner(kind, state) }));
      assertEquals((await source.load("w")).data, new Float32Array(2));
    }
  }
  await assertRejects(
    () => crafted(dictOf({ w: inner("os\nsystem", "}") })),
    TypeError,
    '"os.system", which is not allowed',
  );
  const call = "ctorch._tensor\n_rebuild_from_type_v2\n(ccollections\nOrderedDict\nNt)tR";
  await assertRejects(() => crafted(dictOf({ w: call })), Error);
});

Deno.test("openTorchFile() reads dicts as deep as Python writes them", async () => {
  const depth = 200;
  const open = "}X\x01\0\0\0a".repeat(depth);
  await using source = await crafted(`\x80\x02${open}${rebuilt(FLOATS)}${"s".repeat(depth)}.`);
  assertEquals(source.names(), [Array(depth).fill("a").join(".")]);
});
