// Attention, written to be read: float64 inside, rounded to float32 when stored.

import type { AttentionInputs, CheckedColumns } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Naive, store } from "./arrays.ts";

/** softmax(scale · q·kᵀ)·v: (batch · queries, heads · headDim). */
export function attention(
  { q, k, v, batch, heads, headDim, scale, causal }: AttentionInputs<Naive>,
  y: Floats,
): void {
  const [queries, keys] = [q.rows, k.rows];
  const out = new Float32Array(batch * queries * heads * headDim);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const at = ({ tensor, offset }: CheckedColumns<Naive>, row: number, d: number) =>
        tensor.values[row * columnsOf(tensor) + offset + h * headDim + d]!;
      for (let i = 0; i < queries; i++) {
        const seen = causal ? Math.min(i + 1, keys) : keys;
        const scores = new Float64Array(seen);
        for (let j = 0; j < seen; j++) {
          for (let d = 0; d < headDim; d++) {
            scores[j]! += scale * at(q, b * queries + i, d) * at(k, b * keys + j, d);
          }
        }
        const weights = softmax(scores);
        for (let d = 0; d < headDim; d++) {
          let total = 0;
          for (let j = 0; j < seen; j++) total += weights[j]! * at(v, b * keys + j, d);
          out[((b * queries + i) * heads + h) * headDim + d] = total;
        }
      }
    }
  }
  store(y, out);
}

/** Weights of a sum of 1, in proportion to the exponentials of scores. */
export function softmax(scores: Float64Array): Float64Array {
  const max = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = scores.map((score) => Math.exp(score - max));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}
