// Tests of Frame.groupNormGradient() and normalizeRowsGradient().

import { compare, type MakeBackend, type Refusals, ROUNDOFF, ROWS } from "./trial.ts";

/** Batch, height, width, channels, groups: blocks of pixels that are not full, and several of them. */
const IMAGES: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 2, 1],
  [2, 3, 5, 6, 3],
  [1, 4, 4, 8, 8],
  [3, 2, 2, 12, 4],
  [1, 13, 11, 4, 2],
  [1, 1, 7, 33, 3],
];

/** Registers the tests. */
export function testNormsGradient(name: string, makeBackend: MakeBackend): void {
  for (const silu of [false, true]) {
    Deno.test(`${name}: Frame.groupNormGradient() with silu ${silu}`, async () => {
      await using backend = await makeBackend();
      for (const [batch, height, width, channels, groups] of IMAGES) {
        for (const result of ["x", "affine"] as const) {
          await compare(
            backend,
            `${batch} × ${height} × ${width} × ${channels}, ${groups} groups: ${result}`,
            (t) => {
              const x = t.floatsIn(0, 2, batch, height, width, channels);
              const dy = t.floats(batch, height, width, channels);
              const [weight, bias] = [t.floats(channels), t.floats(channels)];
              const options = { weight, bias, groups, eps: 0.1, silu };
              return t.frame.groupNormGradient(x, dy, options)[result];
            },
            // 1 / √(0.1) at most, on sums over pixels and channels of terms up to 4.
            {
              absolute: 1e-7 +
                128 * ROUNDOFF * Math.sqrt(height * width * Math.max(1, channels / groups)),
            },
          );
        }
      }
    });
  }

  Deno.test(`${name}: Frame.normalizeRowsGradient() takes what lies along the row away`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      await compare(
        backend,
        `${rows} × ${columns}`,
        (t) => {
          const x = t.floatsIn(0.5, 1.5, rows, columns);
          return t.frame.normalizeRowsGradient(x, t.floats(rows, columns));
        },
        // Of numbers up to 1 / |x|, at most 2; the sums have an error of √columns roundoffs.
        { absolute: 1e-8 + 8 * ROUNDOFF * Math.sqrt(columns) },
      );
    }
  });
}

/** Calls with arguments that do not fit. */
export const NORMS_GRADIENT_REFUSALS: Refusals = {
  groupNormGradient: [
    (t, f) => {
      const options = { weight: t.floats(6), bias: t.floats(6), groups: 4, eps: 1e-6 };
      return f.groupNormGradient(t.floats(1, 2, 2, 6), t.floats(1, 2, 2, 6), options);
    },
    (t, f) => {
      const options = { weight: t.floats(6), bias: t.floats(6), groups: 2, eps: 1e-6 };
      return f.groupNormGradient(t.floats(1, 2, 2, 6), t.floats(1, 2, 3, 6), options);
    },
  ],
  normalizeRowsGradient: [(t, f) => f.normalizeRowsGradient(t.floats(2, 3), t.floats(2, 4))],
};
