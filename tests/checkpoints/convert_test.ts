import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import type { HostArray } from "../../src/backends/backend.ts";
import { convertArray } from "../../src/checkpoints/convert.ts";

function f32(values: number[], shape = [values.length]): HostArray {
  return { dtype: "f32", shape, data: new Float32Array(values) };
}

Deno.test("convertArray() rounds to the nearest float16, ties to even", async () => {
  const cases: [number, number][] = [
    [1, 0x3c00],
    [-2, 0xc000],
    [0.1, 0x2e66],
    [1 + 2 ** -11, 0x3c00], // half way: down to the even one
    [1 + 3 * 2 ** -11, 0x3c02], // half way: up to the even one
    [1 + 2 ** -11 + 2 ** -20, 0x3c01], // just above half way
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1.5 * 2 ** -24, 0x0002],
    [-0, 0x8000],
    [Infinity, 0x7c00],
  ];
  const { data } = await convertArray(f32(cases.map(([value]) => value)), "fp16", "w");
  assertEquals([...data], cases.map(([, bits]) => bits));
});

Deno.test("convertArray() refuses values beyond float16", async () => {
  await assertRejects(
    () => convertArray(f32([1, 70000]), "fp16", "w"),
    RangeError,
    "Cannot hold w as float16: it has the value 70000, beyond 65504",
  );
});

Deno.test("convertArray() widens all types exactly and keeps what fits", async () => {
  const halves: HostArray = { dtype: "f16", shape: [2], data: new Uint16Array([0x3c01, 0x0001]) };
  assertEquals(
    await convertArray(halves, "fp32", "w"),
    f32([1 + 2 ** -10, 2 ** -24]),
  );
  assertStrictEquals(await convertArray(halves, "fp16", "w"), halves);
  const brain: HostArray = { dtype: "bf16", shape: [1], data: new Uint16Array([0xbf80]) };
  assertEquals(await convertArray(brain, "fp32", "w"), f32([-1]));
  assertEquals((await convertArray(brain, "fp16", "w")).data, new Uint16Array([0xbc00]));
});
