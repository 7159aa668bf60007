// Tests of Backend.upload() and of Frame.embedding(), geglu(), transpose(), reshape(), repeat(),
// normalizeRows(), nearestCode() and logSoftmax().

import type { Tensor } from "../../../src/backends/backend.ts";
import { assert, assertEquals } from "@std/assert";
import { floats } from "../naive/arrays.ts";
import { codeDistances } from "../naive/rows.ts";
import {
  compare,
  type MakeBackend,
  Random,
  type Refusals,
  result,
  ROUNDOFF,
  ROWS,
  sumTolerance,
} from "./trial.ts";

const EXACT = { absolute: 0 };

/** Registers the tests. */
export function testRows(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Backend.upload() widens what checkpoints store`, async () => {
    await using backend = await makeBackend();
    for (const dtype of ["f32", "f16", "bf16", "i8"] as const) {
      for (const [rows, columns] of [[1, 1], [3, 5], [8, 16], [7, 33]] as const) {
        await compare(
          backend,
          `${dtype} ${rows} × ${columns}`,
          (t) => t.frame.repeat(t.own(t.backend.upload(t.array(dtype, rows, columns))), 1),
          EXACT,
        );
      }
    }
  });

  Deno.test(`${name}: Backend.upload() widens tiny, huge and signed zero float16`, async () => {
    await using backend = await makeBackend();
    const data = Uint16Array.of(0x0001, 0x83ff, 0x0400, 0x7bff, 0x8000, 0x3c01, 0x7c00, 0xfc00);
    using tensor = backend.upload({ shape: [8], dtype: "f16", data });
    assertEquals(await tensor.data(), Float32Array.from(new Float16Array(data.buffer)));
  });

  Deno.test(`${name}: Frame.embedding() looks rows up and adds positions`, async () => {
    await using backend = await makeBackend();
    for (const columns of [1, 3, 8, 22, 65]) {
      for (const [batch, length] of [[1, 1], [2, 7], [3, 64]] as const) {
        for (const positioned of [false, true]) {
          await compare(
            backend,
            `${batch} × ${length} of ${columns}, position ${positioned}`,
            (t) => {
              const ids = t.ids(t.random.ints(batch * length, 11), batch, length);
              const position = positioned ? t.floats(length, columns) : undefined;
              return t.frame.embedding(ids, t.floats(11, columns), position);
            },
            EXACT,
          );
        }
      }
    }
  });

  Deno.test(`${name}: Frame.geglu() gates one half of the columns by the other`, async () => {
    await using backend = await makeBackend();
    for (const [rows, half, size] of [[1, 1, 1], [3, 5, 4], [7, 16, 3], [2, 67, 20], [65, 33, 2]]) {
      await compare(
        backend,
        `${rows} × ${half}, up to ${size}`,
        (t) => t.frame.geglu(t.floatsIn(-size!, size!, rows!, 2 * half!)),
        { absolute: 16 * ROUNDOFF * size! ** 2, relative: 8 * ROUNDOFF },
      );
    }
  });

  Deno.test(`${name}: Frame.transpose() exchanges rows and columns of each matrix`, async () => {
    await using backend = await makeBackend();
    for (const shape of [[1, 1, 1], [2, 3, 5], [1, 8, 4], [3, 33, 7], [2, 66, 65], [2, 5, 270]]) {
      await compare(backend, `${shape}`, (t) => t.frame.transpose(t.floats(...shape)), EXACT);
    }
  });

  Deno.test(`${name}: Frame.reshape() shares the memory of its argument`, async () => {
    await using backend = await makeBackend();
    await compare(
      backend,
      "of an input and of a result",
      (t) => {
        const rows = t.frame.reshape(t.floats(2, 3, 4, 5), [2, 3, 20]);
        return t.frame.reshape(t.frame.transpose(rows), [2, 4, 5, 3]);
      },
      EXACT,
    );
    await compare(
      backend,
      "in place",
      (t) => {
        const x = t.frame.repeat(t.floats(6, 4), 1);
        const y = t.frame.reshape(x, [2, 3, 4]);
        t.frame.linear(t.floats(6, 5), t.linear([4], 5), { addTo: y });
        return x;
      },
      { absolute: sumTolerance(5) },
    );
  });

  Deno.test(`${name}: Frame.repeat() copies the whole tensor`, async () => {
    await using backend = await makeBackend();
    for (const shape of [[1], [3, 5], [2, 7, 9], [1, 64, 33]]) {
      for (const times of [1, 2, 5]) {
        await compare(
          backend,
          `${shape} × ${times}`,
          (t) => t.frame.repeat(t.floats(...shape), times),
          EXACT,
        );
      }
    }
  });

  Deno.test(`${name}: Frame.repeat() copies ids bit for bit`, async () => {
    await using backend = await makeBackend();
    const ids = [0, 1, 4096, -1, 2 ** 31 - 1, -(2 ** 31), 0x7fc00001];
    const { shape, dtype, data } = await result(
      backend,
      (t) => t.frame.repeat(t.ids(ids, 1, ids.length), 2),
    );
    assertEquals([shape, dtype, [...data]], [[2, ids.length], "i32", [...ids, ...ids]]);
  });

  Deno.test(`${name}: Frame.normalizeRows() divides by the norm`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      for (const size of [1, 1e-4, 1e4]) {
        await compare(
          backend,
          `${rows} × ${columns} up to ${size}`,
          (t) => t.frame.normalizeRows(t.floatsIn(-size, size, rows, columns)),
          // Half the relative error of a sum of squares, which are of one sign.
          { absolute: 0, relative: ROUNDOFF * (8 + Math.sqrt(columns)) },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.nearestCode() finds the nearest code`, async () => {
    await using backend = await makeBackend();
    for (const [rows, codes, columns] of CODEBOOKS) {
      const { shape, data } = await result(backend, (t) => {
        const x = t.floats(1, rows, columns);
        return t.frame.nearestCode(x, t.floats(codes, columns));
      });
      const random = new Random(1);
      const x = floats(random.floats(rows * columns), rows, columns);
      const codebook = floats(random.floats(codes * columns), codes, columns);
      const distances = codeDistances(x, codebook);
      assertEquals(shape, [1, rows]);
      data.forEach((code, r) => {
        const nearest = Math.min(...distances[r]!);
        // Three sums make a distance; one of them twice.
        const tolerance = 4 * sumTolerance(columns);
        assert(
          distances[r]![code]! - nearest <= tolerance,
          `${rows} × ${columns} of ${codes}: row ${r} took ${code} for one at ${nearest}`,
        );
      });
    }
  });

  Deno.test(`${name}: Frame.nearestCode() takes the first of equals`, async () => {
    await using backend = await makeBackend();
    for (const columns of [1, 4, 7]) {
      await compare(
        backend,
        `${columns} columns`,
        (t) => {
          // Small whole numbers, so that distances are exact in any order of summation.
          const x = t.tensor(t.random.ints(29 * columns, 5), 29, columns);
          const code = t.random.ints(20 * columns, 5);
          return t.frame.nearestCode(x, t.tensor([...code, ...code], 40, columns));
        },
        EXACT,
      );
    }
  });

  Deno.test(`${name}: Frame.logSoftmax() normalises rows in the log domain`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of [[1, 1], [3, 2], [7, 13], [5, 64], [2, 1025], [3, 4096]]) {
      for (const [low, high] of [[-1, 1], [-15, 15], [999, 1000], [-1000, 1000]] as const) {
        await compare(
          backend,
          `${rows} × ${columns} in ${low}…${high}`,
          (t) => t.frame.logSoftmax(t.floatsIn(low, high, rows!, columns!)),
          // The sum is exact to float32, so that the subtraction's operands alone count.
          { absolute: 8 * ROUNDOFF * (Math.max(-low, high) + Math.log(columns!)) },
        );
      }
    }
  });
}

// Rows, codes, columns.
const CODEBOOKS: readonly [number, number, number][] = [
  [1, 1, 1],
  [5, 7, 3],
  [8, 16, 4],
  [33, 31, 5],
  [64, 128, 16],
  [17, 1025, 9],
  [3, 40, 130],
];

/** Calls with arguments that do not fit. */
export const ROWS_REFUSALS: Refusals = {
  embedding: [
    (t, f) => f.embedding(t.floats(2, 3) as unknown as Tensor<"i32">, t.floats(5, 4)),
    (t, f) => f.embedding(t.ids([1], 1), t.ids([1, 2], 2, 1) as unknown as Tensor),
    (t, f) => f.embedding(t.ids([1], 1), t.floats(5, 4), t.floats(1, 3)),
  ],
  geglu: [(t, f) => f.geglu(t.floats(3, 5))],
  transpose: [(t, f) => f.transpose(t.floats(3, 4))],
  reshape: [
    (t, f) => f.reshape(t.floats(3, 4), [3, 5]),
    (t, f) => f.reshape(t.floats(3, 4), [-3, -4]),
  ],
  repeat: [
    (t, f) => f.repeat(t.floats(3, 4), 0),
    (t, f) => f.repeat(t.floats(3, 4), 1.5),
  ],
  normalizeRows: [(t, f) => f.normalizeRows(t.ids([1, 2], 1, 2) as unknown as Tensor)],
  nearestCode: [(t, f) => f.nearestCode(t.floats(3, 4), t.floats(7, 5))],
  logSoftmax: [(t, f) => f.logSoftmax(t.ids([1, 2], 1, 2) as unknown as Tensor)],
};
