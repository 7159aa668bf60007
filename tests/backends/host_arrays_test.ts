import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HostArray } from "../../src/backends/backend.ts";
import { float32Values, quantizeRows } from "../../src/backends/host_arrays.ts";

function f32(values: number[], shape = [values.length]): HostArray {
  return { dtype: "f32", shape, data: new Float32Array(values) };
}

Deno.test("quantizeRows() keeps each value within half a step of its row", () => {
  const values = Array.from({ length: 300 }, (_, i) => Math.sin(i) * 10 ** (i / 100));
  const array = f32(values, [3, 100]);
  const quantized = quantizeRows(array, "w");
  const back = float32Values(quantized);
  for (const [i, value] of values.entries()) {
    const step = quantized.scale[Math.floor(i / 100)] ?? 0;
    // Half a step, and the rounding of the scale and the product to float32.
    assert(Math.abs(value - (back[i] ?? 0)) <= step * 0.5001);
  }
  for (let row = 0; row < 3; row++) {
    const part = quantized.data.slice(row * 100, row * 100 + 100);
    assertEquals(Math.max(...part.map(Math.abs)), 127);
  }
});

Deno.test("quantizeRows() rounds ties to even and copes with rows of zeros", () => {
  const quantized = quantizeRows(
    f32([127, 0.5, 1.5, -0.5, -1.5, -2.5, 0, 0, 0, 0, 0, 0], [2, 6]),
    "w",
  );
  assertEquals([...quantized.data], [127, 0, 2, 0, -2, -2, 0, 0, 0, 0, 0, 0]);
  assertEquals([...quantized.scale], [1, 1]);
});

Deno.test("quantizeRows() refuses vectors and values that are not finite", () => {
  assertThrows(() => quantizeRows(f32([1, 2]), "w"), RangeError, "expected a matrix");
  assertThrows(
    () => quantizeRows(f32([1, NaN], [2, 1]), "w"),
    RangeError,
    "its row 1 has the value NaN",
  );
});
