// Tests of Frame.pack(), add(), multiply(), scatterAdd(), activate(), activateGradient(), gegluGradient(),
// logSoftmaxGradient() and layerNormGradient().

import type { Activation, Tensor } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, ROUNDOFF, ROWS, sumTolerance } from "./trial.ts";

const EXACT = { absolute: 0 };

const ACTIVATIONS: readonly Activation[] = ["none", "quickGelu", "silu", "gelu"];

/** Numbers of elements: 1, primes, and sizes around vectors, workgroups and chunks. */
const COUNTS = [1, 3, 4, 67, 256, 1023, 8197];

/** Registers the tests. */
export function testGradients(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.pack() makes a weight of a matrix or of its transpose`, async () => {
    await using backend = await makeBackend();
    for (const [rows, out, inside] of [[1, 1, 1], [3, 5, 7], [7, 8, 4], [65, 33, 130]] as const) {
      for (const transpose of [false, true]) {
        for (const biased of [false, true]) {
          await compare(
            backend,
            `${rows} × ${inside} → ${out}, transpose ${transpose}, bias ${biased}`,
            (t) => {
              const matrix = transpose ? t.floats(inside, out) : t.floats(out, inside);
              const bias = biased ? { bias: t.floats(out) } : {};
              // Of a result, so that packing is done each time the frame is run.
              const weight = t.frame.pack(t.frame.repeat(matrix, 1), { transpose, ...bias });
              return t.frame.linear(t.floats(rows, inside), weight);
            },
            { absolute: sumTolerance(inside) },
          );
        }
      }
    }
  });

  Deno.test(`${name}: Frame.pack() gives its memory back with its scope`, async () => {
    await using backend = await makeBackend();
    await compare(
      backend,
      "two weights, one after the other",
      (t) => {
        const x = t.floats(6, 8);
        const matrices = [t.floats(8, 8), t.floats(8, 8)];
        return matrices.reduce((x, matrix) => {
          const y = t.frame.repeat(x, 1);
          using _scope = t.frame.scope();
          return t.frame.linear(x, t.frame.pack(matrix), { addTo: y });
        }, x);
      },
      { absolute: 20 * sumTolerance(8) },
    );
  });

  Deno.test(`${name}: Frame.add() adds elements`, async () => {
    await using backend = await makeBackend();
    for (const count of COUNTS) {
      await compare(
        backend,
        `${count}`,
        (t) => t.frame.add(t.floats(1, count), t.floats(count)),
        EXACT,
      );
    }
    await compare(
      backend,
      "to itself",
      (t) => {
        const x = t.floats(3, 5);
        return t.frame.add(x, x);
      },
      EXACT,
    );
  });

  Deno.test(`${name}: Frame.multiply() multiplies elements`, async () => {
    await using backend = await makeBackend();
    for (const count of COUNTS) {
      await compare(
        backend,
        `${count}`,
        (t) => t.frame.multiply(t.floats(1, count), t.floats(count)),
        EXACT,
      );
    }
  });

  Deno.test(`${name}: Frame.scatterAdd() sums rows of the same id`, async () => {
    await using backend = await makeBackend();
    const shapes = [[1, 1, 1, 1], [7, 1, 5, 3], [3, 4, 66, 5], [1, 50, 17, 1], [64, 6, 259, 9], [
      50,
      1,
      3,
      2051,
    ]];
    for (const [ids, each, columns, rows] of shapes as [number, number, number, number][]) {
      await compare(
        backend,
        `${ids} × ${each} rows of ${columns} to ${rows}`,
        (t) => {
          const indices = t.ids(t.random.ints(ids, rows), ids);
          return t.frame.scatterAdd(t.floats(ids, each, columns), indices, rows);
        },
        { absolute: sumTolerance(ids * each) },
      );
    }
  });

  Deno.test(`${name}: Frame.activate() applies functions as linear layers do`, async () => {
    await using backend = await makeBackend();
    for (const activation of ACTIVATIONS) {
      for (const [count, size] of [[1, 1], [67, 4], [5000, 20]] as const) {
        await compare(
          backend,
          `${activation} of ${count} up to ${size}`,
          (t) => t.frame.activate(t.floatsIn(-size, size, count), activation),
          { absolute: 16 * ROUNDOFF * size, relative: 8 * ROUNDOFF },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.activateGradient() multiplies by the slope`, async () => {
    await using backend = await makeBackend();
    for (const activation of ACTIVATIONS) {
      for (const [count, size] of [[1, 1], [67, 4], [5000, 20]] as const) {
        await compare(
          backend,
          `${activation} of ${count} up to ${size}`,
          (t) => {
            const x = t.floatsIn(-size, size, count);
            return t.frame.activateGradient(x, t.floats(count), activation);
          },
          // Φ and sigmoid to some ulp, times x; differences of the oracle's add 1e-9.
          { absolute: 1e-8 + 16 * ROUNDOFF * size, relative: 8 * ROUNDOFF },
        );
      }
    }
  });

  Deno.test(`${name}: Frame.gegluGradient() gives slopes of both halves`, async () => {
    await using backend = await makeBackend();
    for (const [rows, half, size] of [[1, 1, 1], [3, 5, 4], [7, 16, 3], [2, 67, 20], [65, 33, 2]]) {
      await compare(
        backend,
        `${rows} × ${half}, up to ${size}`,
        (t) =>
          t.frame.gegluGradient(
            t.floatsIn(-size!, size!, rows!, 2 * half!),
            t.floats(rows!, half!),
          ),
        { absolute: 1e-8 + 16 * ROUNDOFF * size! ** 2, relative: 8 * ROUNDOFF },
      );
    }
  });

  Deno.test(`${name}: Frame.logSoftmaxGradient() takes the share of each class away`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      await compare(
        backend,
        `${rows} × ${columns}`,
        (t) => {
          const y = t.frame.logSoftmax(t.floatsIn(-5, 5, rows, columns));
          return t.frame.logSoftmaxGradient(y, t.floats(rows, columns));
        },
        { absolute: 2 * sumTolerance(columns) },
      );
    }
  });

  for (const kind of ["plain", "adaptive", "adaptive for each sequence"] as const) {
    Deno.test(`${name}: Frame.layerNormGradient() of a norm that is ${kind}`, async () => {
      await using backend = await makeBackend();
      for (const [rows, columns] of ROWS) {
        for (const result of ["x", "affine"] as const) {
          await compare(
            backend,
            `${rows} × ${columns}: ${result}`,
            (t) => {
              const x = t.floats(2, rows, columns);
              const dy = t.floats(2, rows, columns);
              if (kind === "plain") {
                const [weight, bias] = [t.floats(columns), t.floats(columns)];
                return t.frame.layerNormGradient(x, dy, { weight, bias, eps: 0.1 })[result];
              }
              const timestep = kind === "adaptive" ? t.ids([2], 1) : t.ids([2, 0], 2);
              const table = t.floats(3, 2 * columns);
              return t.frame.layerNormGradient(x, dy, { table, timestep, eps: 0.1 })[result];
            },
            // 1 / √(0.1) at most, on sums of terms up to 2 that are divided by their number.
            { absolute: 1e-7 + 64 * ROUNDOFF * Math.sqrt(columns) },
          );
        }
      }
    });
  }
}

/** Calls with arguments that do not fit. */
export const GRADIENTS_REFUSALS: Refusals = {
  pack: [
    (t, f) => f.pack(t.floats(2, 3, 4)),
    (t, f) => f.pack(t.floats(2, 3), { bias: t.floats(3) }),
    (t, f) => f.pack(t.floats(2, 3), { bias: t.floats(2), transpose: true }),
  ],
  add: [(t, f) => f.add(t.floats(2, 3), t.floats(2, 4))],
  multiply: [(t, f) => f.multiply(t.floats(2, 3), t.floats(2, 4))],
  scatterAdd: [
    (t, f) => f.scatterAdd(t.floats(5, 3), t.ids([0, 1], 2), 2),
    (t, f) => f.scatterAdd(t.floats(4, 3), t.ids([0, 1], 2), 0),
  ],
  activate: [(t, f) => f.activate(t.ids([1], 1) as Tensor<never>, "silu")],
  activateGradient: [(t, f) => f.activateGradient(t.floats(2, 3), t.floats(2, 4), "silu")],
  gegluGradient: [
    (t, f) => f.gegluGradient(t.floats(2, 3), t.floats(2, 1)),
    (t, f) => f.gegluGradient(t.floats(2, 4), t.floats(2, 4)),
  ],
  logSoftmaxGradient: [(t, f) => f.logSoftmaxGradient(t.floats(2, 3), t.floats(2, 4))],
  layerNormGradient: [
    (t, f) => {
      const options = { weight: t.floats(3), bias: t.floats(4), eps: 1e-5 };
      return f.layerNormGradient(t.floats(2, 4), t.floats(2, 4), options);
    },
    (t, f) => {
      const options = { weight: t.floats(4), bias: t.floats(4), eps: 1e-5 };
      return f.layerNormGradient(t.floats(2, 4), t.floats(2, 3), options);
    },
    (t, f) => {
      const options = { table: t.floats(3, 8), timestep: t.ids([0, 1, 2], 3), eps: 1e-5 };
      return f.layerNormGradient(t.floats(2, 4), t.floats(2, 4), options);
    },
  ],
};
