// Tests of Frame.attention().

import type { Tensor } from "../../../src/backends/backend.ts";
import {
  compare,
  type MakeBackend,
  type Refusals,
  ROUNDOFF,
  sumTolerance,
  type Trial,
} from "./trial.ts";

// Sequences, queries, keys, heads, columns of a head.
const SHAPES: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 1, 1],
  [1, 5, 5, 1, 3],
  [3, 1, 7, 2, 4],
  [2, 7, 13, 3, 5],
  [2, 16, 16, 2, 8],
  [1, 33, 77, 4, 22],
  [2, 64, 32, 2, 64],
  [1, 17, 17, 2, 88],
  [1, 65, 130, 1, 64],
  [1, 31, 129, 1, 144],
  [1, 9, 8, 1, 512],
];

interface Sizes {
  batch: number;
  queries: number;
  keys: number;
  heads: number;
  headDim: number;
}

/** Registers the tests. */
export function testAttention(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.attention() mixes values of separate tensors`, async () => {
    await using backend = await makeBackend();
    for (const [batch, queries, keys, heads, headDim] of SHAPES) {
      const scale = headDim ** -0.5;
      await compare(
        backend,
        `${batch} × (${queries}, ${keys}), ${heads} heads of ${headDim}`,
        (t) => {
          const columns = (rows: number) => ({
            tensor: t.floats(rows, heads * headDim),
            offset: 0,
          });
          const [q, k, v] = [queries, keys, keys].map((rows) => columns(batch * rows));
          return t.frame.attention(q!, k!, v!, { batch, heads, headDim, scale });
        },
        tolerance({ keys, headDim, scale }),
      );
    }
  });

  Deno.test(`${name}: Frame.attention() reads queries, keys and values of one tensor`, async () => {
    await using backend = await makeBackend();
    for (const causal of [false, true]) {
      for (const [batch, length, heads, headDim, gap] of JOINED) {
        const scale = headDim ** -0.5;
        await compare(
          backend,
          `${batch} × ${length}, ${heads} heads of ${headDim}, gap ${gap}, causal ${causal}`,
          (t) =>
            joined(t, { batch, queries: length, keys: length, heads, headDim }, gap, scale, causal),
          tolerance({ keys: length, headDim, scale }),
        );
      }
    }
  });

  Deno.test(`${name}: Frame.attention() survives large and small scores`, async () => {
    await using backend = await makeBackend();
    for (const scale of [30, 1e-3]) {
      await compare(
        backend,
        `scale ${scale}`,
        (t) => joined(t, { batch: 1, queries: 9, keys: 9, heads: 2, headDim: 6 }, 0, scale, false),
        tolerance({ keys: 9, headDim: 6, scale }),
      );
    }
  });
}

// Sequences, length, heads, columns of a head, unused columns between queries, keys and values.
const JOINED: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 1, 0],
  [2, 3, 1, 5, 1],
  [2, 13, 2, 4, 0],
  [1, 16, 2, 8, 3],
  [2, 32, 3, 16, 0],
  [1, 77, 2, 22, 0],
  [1, 66, 1, 64, 0],
];

function joined(t: Trial, sizes: Sizes, gap: number, scale: number, causal: boolean) {
  const { batch, queries, heads, headDim } = sizes;
  const width = heads * headDim + gap;
  const tensor = t.floats(batch, queries, 3 * width);
  const [q, k, v] = [0, 1, 2].map((i) => ({ tensor, offset: i * width }));
  return t.frame.attention(q!, k!, v!, { batch, heads, headDim, scale, causal });
}

/**
 * The error of a score is that of its sum, times the scale, and scales all weights; the weighted sum
 * of values in −1…1 adds its own rounding.
 */
function tolerance({ keys, headDim, scale }: { keys: number; headDim: number; scale: number }) {
  return {
    absolute: 4 * Math.abs(scale) * sumTolerance(headDim) + ROUNDOFF * (16 + keys),
  };
}

const attentionOptions = { batch: 2, heads: 2, headDim: 4, scale: 1 };

function columns(tensor: Tensor, offset = 0) {
  return { tensor, offset };
}

/** Calls with arguments that do not fit. */
export const ATTENTION_REFUSALS: Refusals = {
  attention: [
    // Columns past the end, rows that are not those of a batch, keys without values.
    (t, f) => {
      const x = columns(t.floats(4, 8), 1);
      return f.attention(x, x, x, attentionOptions);
    },
    (t, f) => {
      const x = columns(t.floats(5, 8));
      return f.attention(x, x, x, attentionOptions);
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, columns(t.floats(6, 8)), attentionOptions);
    },
    // More keys than queries with a mask, no heads, a scale that turns scores round.
    (t, f) => {
      const x = columns(t.floats(6, 8));
      return f.attention(columns(t.floats(4, 8)), x, x, { ...attentionOptions, causal: true });
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, x, { ...attentionOptions, heads: 0 });
    },
    (t, f) => {
      const x = columns(t.floats(4, 8));
      return f.attention(x, x, x, { ...attentionOptions, scale: -1 });
    },
  ],
};
