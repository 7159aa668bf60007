/**
 * Gradients of attention.
 *
 * @module
 */

import type { AttentionOptions, Columns, Tensor } from "../../backends/backend.ts";
import type { RecordGradients } from "../tape.ts";

/** The tensors that hold queries, keys and values, each once. */
export function attentionInputs(q: Columns, k: Columns, v: Columns): readonly Tensor[] {
  return [...new Set([q.tensor, k.tensor, v.tensor])];
}

/** y = attention(q, k, v), by the tensors of {@linkcode attentionInputs}. */
export function attentionGradients(
  q: Columns,
  k: Columns,
  v: Columns,
  options: AttentionOptions,
): RecordGradients {
  return (frame, dy) => {
    const gradients = frame.attentionGradient(q, k, v, dy, options);
    const byTensor = new Map([
      [q.tensor, gradients.q],
      [k.tensor, gradients.k],
      [v.tensor, gradients.v],
    ]);
    return attentionInputs(q, k, v).map((tensor) => byTensor.get(tensor));
  };
}
