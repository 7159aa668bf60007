// Gradients of attention, written to be read: float64 inside, rounded to float32 when stored.

import type { AttentionInputs, CheckedColumns } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { softmax } from "./attention.ts";
import type { Floats, Naive } from "./arrays.ts";

/** Gradients by queries, keys and values, in the columns that these have in their tensors. */
export function attentionGradient(
  { q, k, v, batch, heads, headDim, scale, causal }: AttentionInputs<Naive>,
  dy: Floats,
  dq: Floats,
  dk: Floats,
  dv: Floats,
): void {
  const [queries, keys] = [q.rows, k.rows];
  const sums = new Map<Floats, Float64Array>();
  for (const result of [dq, dk, dv]) sums.set(result, new Float64Array(result.values.length));
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const index = ({ tensor, offset }: CheckedColumns<Naive>, row: number, d: number) =>
        row * columnsOf(tensor) + offset + h * headDim + d;
      const at = (part: CheckedColumns<Naive>, row: number, d: number) =>
        part.tensor.values[index(part, row, d)]!;
      const addTo = (
        result: Floats,
        part: CheckedColumns<Naive>,
        row: number,
        d: number,
        value: number,
      ) => sums.get(result)![index(part, row, d)]! += value;
      const dots = (count: number, f: (j: number, d: number) => number) =>
        Float64Array.from({ length: count }, (_, j) => {
          let total = 0;
          for (let d = 0; d < headDim; d++) total += f(j, d);
          return total;
        });
      for (let i = 0; i < queries; i++) {
        const row = b * queries + i;
        const slope = (d: number) => dy.values[(row * heads + h) * headDim + d]!;
        const seen = causal ? Math.min(i + 1, keys) : keys;
        const weights = softmax(
          dots(seen, (j, d) => scale * at(q, row, d) * at(k, b * keys + j, d)),
        );
        const slopes = dots(seen, (j, d) => slope(d) * at(v, b * keys + j, d));
        const mean = weights.reduce((total, weight, j) => total + weight * slopes[j]!, 0);
        for (let j = 0; j < seen; j++) {
          const score = scale * weights[j]! * (slopes[j]! - mean);
          for (let d = 0; d < headDim; d++) {
            addTo(dq, q, row, d, score * at(k, b * keys + j, d));
            addTo(dk, k, b * keys + j, d, score * at(q, row, d));
            addTo(dv, v, b * keys + j, d, weights[j]! * slope(d));
          }
        }
      }
    }
  }
  for (const [result, values] of sums) result.values.set(values);
}
