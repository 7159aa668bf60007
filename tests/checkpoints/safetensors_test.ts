import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { float32Values } from "../../src/backends/host_arrays.ts";
import { type StoredArray, typedArray } from "../../src/checkpoints/arrays.ts";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { openSafetensors, parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import {
  type ArrayToWrite,
  encodeSafetensors,
  writeSafetensors,
} from "../../src/checkpoints/safetensors_writer.ts";

const FIXTURE = new URL("../fixtures/torch_pickle/expected.safetensors", import.meta.url);

/** A file of a header and so many bytes of data. */
function file(header: unknown, dataBytes = 0): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function entry(dtype: unknown, shape: unknown, offsets: unknown): Record<string, unknown> {
  return { dtype, shape, data_offsets: offsets };
}

function stored(
  dtype: StoredArray["dtype"],
  shape: number[],
  values: ArrayBufferView<ArrayBuffer>,
) {
  const { buffer, byteOffset, byteLength } = values;
  return { dtype, shape, bytes: new Uint8Array(buffer, byteOffset, byteLength) };
}

Deno.test("parseSafetensors() reads a file of the official library", async () => {
  const arrays = parseSafetensors(await Deno.readFile(FIXTURE));
  assertEquals(arrays.size, 26);
  const plain = arrays.get("plain");
  assert(plain);
  assertEquals(plain.dtype, "F32");
  assertEquals(typedArray(plain).length, plain.shape.reduce((a, b) => a * b, 1));
});

Deno.test("parseSafetensors() gives views of aligned arrays and reads unaligned ones", () => {
  const bytes = encodeSafetensors([
    ["a", stored("F32", [2], new Float32Array([1, 2]))],
    ["b", stored("U8", [1], new Uint8Array([7]))],
  ]);
  const arrays = parseSafetensors(bytes);
  const a = arrays.get("a");
  assert(a);
  assert(typedArray(a).buffer === bytes.buffer);
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  const unaligned = parseSafetensors(shifted.subarray(1)).get("a");
  assert(unaligned);
  assertEquals(typedArray(unaligned), new Float32Array([1, 2]));
});

Deno.test("encodeSafetensors() keeps every type, shape and the metadata", () => {
  const arrays: [string, StoredArray][] = [
    ["F64", stored("F64", [1], new Float64Array([0.1]))],
    ["F32", stored("F32", [], new Float32Array([0.1]))],
    ["F16", stored("F16", [2], new Uint16Array([0x3c00, 0x7c00]))],
    ["BF16", stored("BF16", [1, 1], new Uint16Array([0x3f80]))],
    ["I64", stored("I64", [1], new BigInt64Array([-5n]))],
    ["U64", stored("U64", [1], new BigUint64Array([5n]))],
    ["I32", stored("I32", [2], new Int32Array([-1, 1]))],
    ["U32", stored("U32", [1], new Uint32Array([4e9]))],
    ["I16", stored("I16", [1], new Int16Array([-300]))],
    ["U16", stored("U16", [1], new Uint16Array([65535]))],
    ["I8", stored("I8", [3], new Int8Array([-1, 0, 1]))],
    ["U8", stored("U8", [0], new Uint8Array())],
    ["BOOL", stored("BOOL", [1], new Uint8Array([1]))],
    ['ключ "\\', stored("U8", [1], new Uint8Array([1]))],
    ["__proto__", stored("U8", [1], new Uint8Array([2]))],
  ];
  const bytes = encodeSafetensors(arrays, { format: "pt" });
  const read = parseSafetensors(bytes);
  assertEquals(read.size, arrays.length);
  for (const [name, array] of arrays) {
    const back = read.get(name);
    assert(back);
    assertEquals(back.shape, array.shape);
    assertEquals(typedArray(back), typedArray(array));
  }
  assertEquals(new DataView(bytes.buffer).getBigUint64(0, true) % 8n, 0n);
});

Deno.test("encodeSafetensors() gives what parseSafetensors() read", async () => {
  const bytes = await Deno.readFile(
    new URL("../fixtures/torch_pickle/expected_module_state_dict.safetensors", import.meta.url),
  );
  const arrays = parseSafetensors(bytes);
  assertEquals(parseSafetensors(encodeSafetensors(arrays)), arrays);
});

Deno.test("writeSafetensors() asks for one array at a time, in file order", async () => {
  const events: string[] = [];
  const array = (name: string, dtype: "F32" | "F16"): ArrayToWrite => ({
    name,
    dtype,
    shape: [2],
    bytes() {
      events.push(`load ${name}`);
      return Promise.resolve(new Uint8Array(dtype === "F32" ? 8 : 4));
    },
  });
  const chunks: Uint8Array[] = [];
  await writeSafetensors([array("h", "F16"), array("b", "F32"), array("a", "F32")], (bytes) => {
    events.push(`write ${bytes.length > 8 ? "header" : bytes.length}`);
    chunks.push(bytes);
  });
  assertEquals(events.slice(1), ["load a", "write 8", "load b", "write 8", "load h", "write 4"]);
  const bytes = new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  assertEquals([...parseSafetensors(bytes).keys()], ["a", "b", "h"]);
});

Deno.test("writeSafetensors() refuses repeated names and arrays of the wrong size", async () => {
  const array = { name: "a", dtype: "F32", shape: [2], bytes: () => new Uint8Array(8) } as const;
  await assertRejects(() => writeSafetensors([array, array], () => {}), TypeError, "the name a");
  await assertRejects(
    () => writeSafetensors([{ ...array, shape: [3] }], () => {}),
    RangeError,
    "8 bytes do not fill its shape (3)",
  );
  await assertRejects(
    () => writeSafetensors([{ ...array, shape: [-1] }], () => {}),
    RangeError,
    "not valid",
  );
});

Deno.test("parseSafetensors() refuses damaged files with the reason", () => {
  const ok = entry("F32", [2], [0, 8]);
  const cases: [bytes: Uint8Array<ArrayBuffer>, message: string][] = [
    [new Uint8Array(), "the file is 0 bytes long"],
    [new Uint8Array(7), "the file is 7 bytes long"],
    [new Uint8Array(8).fill(255), "header is 18446744073709551615 bytes long, the file is 8"],
    [file("{").fill(9, 0, 1), "header is 9 bytes long, the file is 9"],
    [file(""), "header is not valid JSON"],
    [file("{"), "header is not valid JSON"],
    [file("\xff"), "header is not valid JSON"],
    [file("[]"), "header is not a JSON object"],
    [file("null"), "header is not a JSON object"],
    [file(`{"a":${"[".repeat(100_000)}`), "header is not valid JSON"],
    [file({ __metadata__: { a: 1 } }), "__metadata__ is not an object of strings"],
    [file({ __metadata__: "x" }), "__metadata__ is not an object of strings"],
    [file({ a: 3 }), `"a" is not described by an object`],
    [file({ a: {} }), `"a" has no dtype`],
    [file({ a: entry("F32", "2", [0, 8]) }, 8), `"a" has a shape that is not a list`],
    [file({ a: entry("F32", [-2], [0, 8]) }, 8), `"a" has a shape that is not a list`],
    [file({ a: entry("F32", [1.5], [0, 6]) }, 6), `"a" has a shape that is not a list`],
    [file({ a: entry("F32", [2], [0]) }, 8), `"a" has offsets that are not two`],
    [file({ a: entry("F32", [2], [-8, 0]) }, 8), `"a" has offsets that are not two`],
    [file({ a: entry("F32", [2], [8, 0]) }, 8), `"a" lies at 8 to 0 of 8 bytes`],
    [file({ a: ok }, 7), `"a" lies at 0 to 8 of 7 bytes of data`],
    [file({ a: entry("F32", [3], [0, 8]) }, 8), `"a" of shape (3) and dtype F32 has 8 bytes`],
    [
      file({ a: entry("F32", [2 ** 52, 2 ** 52], [0, 8]) }, 8),
      `"a" of shape (4503599627370496,4503599627370496) and dtype F32 has 8 bytes`,
    ],
    [file({ a: ok }, 9), "the arrays end at byte 70, the file is 71"],
    [file({ a: ok, b: ok }, 8), `"b" overlaps the array before it`],
    [file({ a: ok, b: entry("F32", [1], [12, 16]) }, 16), `"b" follows a hole`],
    [
      file(`{"a":${JSON.stringify(ok)},"b":{"a":1},"\\u0061":${JSON.stringify(ok)}}`, 8),
      `"a" occurs twice in the header`,
    ],
  ];
  for (const [bytes, message] of cases) {
    assertThrows(() => parseSafetensors(bytes), SyntaxError, message);
  }
});

Deno.test("parseSafetensors() names an element type that is not supported", () => {
  assertThrows(
    () => parseSafetensors(file({ a: entry("F8_E4M3", [2], [0, 2]) }, 2)),
    TypeError,
    `"a" has the unsupported dtype "F8_E4M3"`,
  );
});

Deno.test("openSafetensors() loads arrays one by one and closes the file", async () => {
  const bytes = encodeSafetensors([
    ["half", stored("F16", [2], new Uint16Array([0x3c00, 0xc000]))],
    ["brain", stored("BF16", [1], new Uint16Array([0x3f80]))],
    ["double", stored("F64", [1], new Float64Array([0.1]))],
    ["ids", stored("I64", [1], new BigInt64Array([3n]))],
    ["empty", stored("F32", [0], new Float32Array())],
  ]);
  const reads: [number, number][] = [];
  let closed = false;
  const inner = memoryFile("model", bytes);
  const source = await openSafetensors({
    description: inner.description,
    size: inner.size,
    read(offset, length) {
      reads.push([offset, length]);
      return inner.read(offset, length);
    },
    release: () => inner.release(),
    [Symbol.asyncDispose]() {
      closed = true;
      return Promise.resolve();
    },
  });
  assertEquals(reads.length, 2);
  assertEquals(source.names().toSorted(), ["brain", "double", "empty", "half", "ids"]);
  assertEquals(source.shape("half"), [2]);
  assertEquals(source.dtype("ids"), "I64");
  assertEquals(source.shape("none"), undefined);
  assertEquals(float32Values(await source.load("half")), new Float32Array([1, -2]));
  assertEquals(float32Values(await source.load("brain")), new Float32Array([1]));
  assertEquals(float32Values(await source.load("double")), new Float32Array([0.1]));
  assertEquals((await source.load("empty")).shape, [0]);
  assertEquals(reads.slice(2).map(([, length]) => length), [4, 2, 8, 0]);
  assertEquals(typedArray(await source.loadStored("ids")), new BigInt64Array([3n]));
  await assertRejects(
    () => source.load("ids"),
    TypeError,
    "expected floating point numbers, got I64",
  );
  await assertRejects(() => source.load("none"), RangeError, "model has no such array");
  await source[Symbol.asyncDispose]();
  assert(closed);
});

Deno.test("openSafetensors() joins an int8 weight and its scales", async () => {
  for (const shape of [[2], [2, 1]]) {
    const bytes = encodeSafetensors([
      ["fc.weight", stored("I8", [2, 3], new Int8Array([1, 2, 3, -4, -5, -6]))],
      ["fc.weight_scale", stored("F32", shape, new Float32Array([0.5, 2]))],
    ]);
    await using source = await openSafetensors(memoryFile("model", bytes));
    assertEquals(source.names(), ["fc.weight"]);
    const weight = await source.load("fc.weight");
    assert(weight.dtype === "i8");
    assertEquals(weight.scale, new Float32Array([0.5, 2]));
    assertEquals(float32Values(weight), new Float32Array([0.5, 1, 1.5, -8, -10, -12]));
  }
});

Deno.test("openSafetensors() refuses int8 weights whose scales do not fit", async () => {
  const weight = stored("I8", [2, 3], new Int8Array(6));
  await using alone = await openSafetensors(
    memoryFile("model", encodeSafetensors([["w", weight]])),
  );
  await assertRejects(() => alone.load("w"), TypeError, 'there is no "w_scale"');
  const scale = stored("F32", [3], new Float32Array(3));
  await using wrong = await openSafetensors(
    memoryFile("model", encodeSafetensors([["w", weight], ["w_scale", scale]])),
  );
  await assertRejects(() => wrong.load("w"), SyntaxError, "one scale for each of its 2 rows");
});
