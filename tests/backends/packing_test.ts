// Weights that are packed in several parts.

import { assertEquals } from "@std/assert";
import type { HostArray, LinearWeight } from "../../src/backends/backend.ts";
import { evaluate } from "../../src/backends/evaluate.ts";
import { quantizeRows } from "../../src/backends/host_arrays.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { countTurns } from "../turns.ts";

/** More than a million elements, and rows that fill no panel of eight at the end of a part. */
const [ROWS, COLUMNS] = [2101, 601];

function rows(array: HostArray, begin: number, end: number): HostArray {
  const data = array.data.slice(begin * COLUMNS, end * COLUMNS);
  const scale = array.dtype === "i8" && { scale: array.scale.slice(begin, end) };
  return { ...array, shape: [end - begin, COLUMNS], data, ...scale } as HostArray;
}

Deno.test("Backend.loadLinearWeight() packs a big matrix as small ones that are joined, and yields", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const data = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.sin(i));
  const f32: HostArray = { dtype: "f32", shape: [ROWS, COLUMNS], data };
  const f16: HostArray = {
    ...f32,
    dtype: "f16",
    data: new Uint16Array(new Float16Array(data).buffer),
  };
  using x = backend.tensor(data.slice(0, 3 * COLUMNS), [3, COLUMNS]);
  for (const array of [f32, f16, quantizeRows(f32, "w")]) {
    for (const dtype of ["fp32", "fp16", "q8"] as const) {
      const parts = [0, 500, 1000, 1500, ROWS];
      const joined = parts.slice(1).map((end, i) => rows(array, parts[i]!, end));
      using expected = backend.linearWeight(joined, [], dtype);
      let packed: LinearWeight | undefined;
      const turns = await countTurns(async () => {
        packed = await backend.loadLinearWeight([array], [], dtype);
      });
      // Between the two parts.
      assertEquals(turns, 1);
      const products = [packed!, expected].map((weight) =>
        evaluate(backend, (frame) => frame.keep(frame.linear(x, weight)))
      );
      const [actual, other] = await Promise.all(products.map((product) => product.data()));
      assertEquals(actual, other, `${array.dtype} as ${dtype}`);
      for (const one of [packed!, ...products]) one.dispose();
    }
  }
});
