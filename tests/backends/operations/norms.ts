// Tests of Frame.layerNorm(), adaLayerNorm() and groupNorm().

import { compare, type MakeBackend, type Refusals, ROWS } from "./trial.ts";

// Mean and half-width of the inputs: ordinary ones, ones whose variance is small beside the squared
// mean, and ones whose variance is small beside eps.
const SIGNALS: readonly [number, number][] = [[0, 1], [10, 0.5], [0, 1e-3]];

// A normalised element has the error of the mean, some ROUNDOFF · |mean|, over the deviation, here
// at most 10 / (0.5 / √3); the loose factor leaves room for sums of a thousand terms.
const TOLERANCE = { absolute: 1e-4 };

// Batch, height, width, channels, groups.
const IMAGES: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 4, 2],
  [1, 2, 3, 6, 1],
  [2, 3, 5, 32, 32],
  [1, 8, 8, 64, 32],
  [2, 4, 7, 48, 16],
  [1, 17, 3, 30, 5],
  [1, 9, 11, 36, 12],
  [3, 16, 16, 16, 8],
  [1, 33, 31, 128, 32],
];

/** Registers the tests. */
export function testNorms(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.layerNorm() normalises rows`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      for (const [mean, half] of SIGNALS) {
        await compare(
          backend,
          `${rows} × ${columns} of ${mean} ± ${half}`,
          (t) => {
            const x = t.floatsIn(mean - half, mean + half, rows, columns);
            const [weight, bias] = [t.floats(columns), t.floats(columns)];
            return t.frame.layerNorm(x, { weight, bias, eps: 1e-5 });
          },
          TOLERANCE,
        );
      }
    }
  });

  Deno.test(`${name}: Frame.adaLayerNorm() scales and shifts by the row of a timestep`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      for (const timestep of [0, 1, 6]) {
        await compare(
          backend,
          `${rows} × ${columns} at ${timestep}`,
          (t) => {
            const x = t.floatsIn(0, 4, rows, columns);
            const table = t.floats(7, 2 * columns);
            return t.frame.adaLayerNorm(x, { table, timestep: t.ids([timestep], 1), eps: 1e-5 });
          },
          TOLERANCE,
        );
      }
    }
  });

  Deno.test(`${name}: Frame.adaLayerNorm() takes a timestep for each sequence`, async () => {
    await using backend = await makeBackend();
    for (const [rows, columns] of ROWS) {
      await compare(
        backend,
        `3 × ${rows} × ${columns}`,
        (t) => {
          const x = t.floatsIn(0, 4, 3, rows, columns);
          const table = t.floats(7, 2 * columns);
          return t.frame.adaLayerNorm(x, { table, timestep: t.ids([6, 0, 3], 3), eps: 1e-5 });
        },
        TOLERANCE,
      );
    }
  });

  Deno.test(`${name}: Frame.groupNorm() normalises groups of channels`, async () => {
    await using backend = await makeBackend();
    for (const [batch, height, width, channels, groups] of IMAGES) {
      for (const [mean, half] of SIGNALS) {
        for (const silu of [false, true]) {
          await compare(
            backend,
            `${batch} × ${height} × ${width} × ${channels} of ${mean} ± ${half}, ` +
              `${groups} groups, silu ${silu}`,
            (t) => {
              const x = t.floatsIn(mean - half, mean + half, batch, height, width, channels);
              const [weight, bias] = [t.floats(channels), t.floats(channels)];
              return t.frame.groupNorm(x, { weight, bias, groups, eps: 1e-6, silu });
            },
            TOLERANCE,
          );
        }
      }
    }
  });
}

/** Calls with arguments that do not fit. */
export const NORMS_REFUSALS: Refusals = {
  layerNorm: [
    (t, f) => f.layerNorm(t.floats(2, 4), { weight: t.floats(3), bias: t.floats(4), eps: 1e-5 }),
    (t, f) => f.layerNorm(t.floats(2, 4), { weight: t.floats(4), bias: t.floats(5), eps: 1e-5 }),
  ],
  adaLayerNorm: [
    (t, f) =>
      f.adaLayerNorm(t.floats(2, 4), { table: t.floats(3, 4), timestep: t.ids([0], 1), eps: 1e-5 }),
    (t, f) =>
      f.adaLayerNorm(t.floats(2, 4), {
        table: t.floats(3, 8),
        timestep: t.ids([0, 1, 2], 3),
        eps: 1e-5,
      }),
  ],
  groupNorm: [
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(6)];
      return f.groupNorm(t.floats(1, 2, 2, 6), { weight, bias, groups: 4, eps: 1e-6 });
    },
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(5)];
      return f.groupNorm(t.floats(1, 2, 2, 6), { weight, bias, groups: 2, eps: 1e-6 });
    },
    (t, f) => {
      const [weight, bias] = [t.floats(6), t.floats(6)];
      return f.groupNorm(t.floats(4, 6), { weight, bias, groups: 2, eps: 1e-6 });
    },
  ],
};
