// Tests of Frame.attentionGradient().

import type { AttentionGradients } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, ROUNDOFF, sumTolerance } from "./trial.ts";

interface Shape {
  readonly batch: number;
  readonly heads: number;
  readonly headDim: number;
  readonly queries: number;
  readonly keys: number;
  readonly causal?: boolean;
}

/** One row, odd sizes, more rows than a workgroup has threads or a block has rows, wide heads, masks. */
const SHAPES: readonly Shape[] = [
  { batch: 1, heads: 1, headDim: 1, queries: 1, keys: 1 },
  { batch: 2, heads: 3, headDim: 5, queries: 7, keys: 4 },
  { batch: 1, heads: 2, headDim: 8, queries: 3, keys: 130 },
  { batch: 2, heads: 1, headDim: 66, queries: 70, keys: 5 },
  { batch: 2, heads: 2, headDim: 9, queries: 50, keys: 41 },
  { batch: 2, heads: 2, headDim: 4, queries: 9, keys: 9, causal: true },
  { batch: 1, heads: 1, headDim: 3, queries: 67, keys: 67, causal: true },
];

/** Registers the tests. */
export function testAttentionGradient(name: string, makeBackend: MakeBackend): void {
  for (const result of ["q", "k", "v"] as const) {
    Deno.test(`${name}: Frame.attentionGradient() by ${result}`, async () => {
      await using backend = await makeBackend();
      for (const shape of SHAPES) {
        const { batch, heads, headDim, queries, keys } = shape;
        const width = heads * headDim;
        await compare(
          backend,
          JSON.stringify(shape),
          (t) => {
            const part = (rows: number) => ({ tensor: t.floats(batch * rows, width), offset: 0 });
            const [q, k, v] = [part(queries), part(keys), part(keys)];
            const dy = t.floats(batch, queries, width);
            return t.frame.attentionGradient(q, k, v, dy, { scale: 0.5, ...shape })[result];
          },
          tolerance(shape),
        );
      }
    });
  }

  for (const joined of ["queries, keys and values", "keys and values"]) {
    Deno.test(`${name}: Frame.attentionGradient() of ${joined} in one tensor`, async () => {
      await using backend = await makeBackend();
      for (const shape of SHAPES.filter(({ queries, keys }) => queries === keys)) {
        const { batch, heads, headDim, queries } = shape;
        const width = heads * headDim;
        const all = joined.startsWith("queries");
        await compare(
          backend,
          JSON.stringify(shape),
          (t) => {
            const rows = batch * queries;
            const tensor = t.floats(rows, (all ? 3 : 2) * width);
            const q = all ? { tensor, offset: 2 * width } : {
              tensor: t.floats(rows, width),
              offset: 0,
            };
            const [k, v] = [{ tensor, offset: width }, { tensor, offset: 0 }];
            const dy = t.floats(rows, width);
            const gradients = t.frame.attentionGradient(q, k, v, dy, { scale: 0.5, ...shape });
            return oneOf(gradients);
          },
          tolerance(shape),
        );
      }
    });
  }
}

/** The gradient of the tensor that holds keys and values. */
function oneOf({ k, v }: AttentionGradients) {
  if (k !== v) throw new TypeError("the gradients of one tensor lie in two");
  return k;
}

/** Sums over columns, whose errors the softmax passes on; then sums over rows of products of them. */
function tolerance({ headDim, queries, keys }: Shape) {
  const terms = Math.max(queries, keys);
  return { absolute: 4 * sumTolerance(headDim) * Math.sqrt(terms) + ROUNDOFF * (16 + 2 * terms) };
}

const OPTIONS = { batch: 2, heads: 2, headDim: 4, scale: 1 };

/** Calls with arguments that do not fit. */
export const ATTENTION_GRADIENT_REFUSALS: Refusals = {
  attentionGradient: [
    // A gradient of another size, columns that nobody uses, columns that two use.
    (t, f) => {
      const x = { tensor: t.floats(4, 24), offset: 0 };
      const [k, v] = [{ ...x, offset: 8 }, { ...x, offset: 16 }];
      return f.attentionGradient(x, k, v, t.floats(4, 7), OPTIONS);
    },
    (t, f) => {
      const x = { tensor: t.floats(4, 25), offset: 0 };
      const [k, v] = [{ ...x, offset: 8 }, { ...x, offset: 16 }];
      return f.attentionGradient(x, k, v, t.floats(4, 8), OPTIONS);
    },
    (t, f) => {
      const x = { tensor: t.floats(4, 8), offset: 0 };
      return f.attentionGradient(x, x, x, t.floats(4, 8), OPTIONS);
    },
  ],
};
