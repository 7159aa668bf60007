// The bytes of a command, and what the compiler refuses to record. Layouts are those of asm/, to which
// tests/asm/layouts_test.ts holds them.

import { assertEquals } from "@std/assert";
import { encodeCommand } from "../../src/backends/wasm/commands.ts";
import { COMMAND_BYTES, COMMANDS } from "../../wasm/commands.ts";

const X = { address: 0x1000 };
/** Above 2 GiB, where a signed number would be negative. */
const OUT = { address: 0xfffff000 };

Deno.test("encodeCommand() puts the opcode first and every field at its byte", () => {
  const weight = { address: 0x2000 }, bias = { address: 0x3000 };
  const norm = { x: X, weight, bias, out: OUT, rows: -5, columns: 7, eps: 1e-5 };
  const bytes = encodeCommand("layerNorm", norm);
  const { opcode, fields } = COMMANDS.layerNorm;
  const view = new DataView(bytes.buffer);
  assertEquals(bytes.length, COMMAND_BYTES);
  assertEquals(view.getInt32(0, true), opcode);
  assertEquals(view.getUint32(fields.x[1], true), 0x1000);
  assertEquals(view.getUint32(fields.weight[1], true), 0x2000);
  assertEquals(view.getUint32(fields.bias[1], true), 0x3000);
  assertEquals(view.getUint32(fields.out[1], true), 0xfffff000);
  assertEquals(view.getInt32(fields.rows[1], true), -5);
  assertEquals(view.getInt32(fields.columns[1], true), 7);
  assertEquals(view.getFloat32(fields.eps[1], true), Math.fround(1e-5));
});

Deno.test("encodeCommand() stores flags as bytes that leave their neighbours alone", () => {
  const arrays = { x: X, zero: X, weight: X, bias: X, out: OUT };
  const sizes = { batch: 1, height: 2, width: 3, inChannels: 4 };
  const results = { outHeight: 5, outWidth: 6, outChannels: 8, upsample: true, add: false };
  const bytes = encodeCommand("winograd", { ...arrays, ...sizes, ...results });
  const { upsample, add } = COMMANDS.winograd.fields;
  assertEquals([bytes[upsample[1]], bytes[add[1]]], [1, 0]);
});

Deno.test("encodeCommand() takes exactly the fields of the operation, each of its kind", () => {
  const refused = [
    // @ts-expect-error: a field is missing
    () => encodeCommand("geglu", { x: X, out: OUT, rows: 1 }),
    // @ts-expect-error: the operation has no such field
    () => encodeCommand("geglu", { x: X, out: OUT, rows: 1, columns: 2, eps: 3 }),
    // @ts-expect-error: an array where a number belongs
    () => encodeCommand("geglu", { x: X, out: OUT, rows: X, columns: 2 }),
    // @ts-expect-error: a number where an array belongs
    () => encodeCommand("geglu", { x: 1, out: OUT, rows: 1, columns: 2 }),
    // @ts-expect-error: the fields of another operation
    () => encodeCommand("repeat", { x: X, out: OUT, rows: 1, columns: 2 }),
    // @ts-expect-error: there is no such operation
    () => encodeCommand("geglo", { x: X, out: OUT, rows: 1, columns: 2 }),
  ];
  // The compiler has checked them; a missing field would be stored as 0 without it.
  const [missing] = refused;
  const zero = encodeCommand("geglu", { x: X, out: OUT, rows: 1, columns: 0 });
  assertEquals(missing!(), zero);
});
