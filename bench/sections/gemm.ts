// Products with weights, of the shapes of the ithq transformer and of the embedded one.

import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { type Bench, entries, measure, type Runnable } from "../bench.ts";
import { ITHQ, SMALL, type TransformerSize } from "../random_transformer.ts";
import { randomNumbers } from "../random_weights.ts";

const BATCH = 2;

/** Rows, columns of the argument and columns of the result. */
interface GemmShape {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Queries, keys and values; the result of attention; the two layers of the feed-forward part. */
function shapes({ heads, headDim, side }: TransformerSize): GemmShape[] {
  const rows = BATCH * side ** 2;
  const width = heads * headDim;
  return [
    { rows, inner: width, columns: 3 * width },
    { rows, inner: width, columns: width },
    { rows, inner: width, columns: 4 * width },
    { rows, inner: 4 * width, columns: width },
  ];
}

/** Measures products with weights. */
export async function gemm(bench: Bench): Promise<void> {
  for (const shape of [...shapes(ITHQ), ...shapes(SMALL)]) {
    using stack = new DisposableStack();
    const { rows, inner, columns } = shape;
    const ours = await entries(bench, (backend, dtype) => product(backend, dtype, shape, stack));
    const work = { linear: 2 * rows * inner * columns, other: 0 };
    await measure(bench, `gemm: ${rows} × ${inner} → ${columns}`, work, ours);
  }
}

function product(
  backend: Backend,
  dtype: WeightDType,
  { rows, inner, columns }: GemmShape,
  stack: DisposableStack,
): Runnable {
  const values = randomNumbers("weight", columns * inner, Math.sqrt(3 / inner));
  const array = { dtype: "f32", shape: [columns, inner], data: values } as const;
  const weight = stack.use(backend.linearWeight([array], [], dtype));
  const x = randomNumbers("x", rows * inner, Math.sqrt(3));
  const frame = stack.use(backend.frame());
  const y = frame.linear(stack.use(backend.tensor(x, [rows, inner])), weight);
  return { run: () => frame.run(), output: () => y.data() };
}
