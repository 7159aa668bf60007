/**
 * Gradients of linear layers and of activations.
 *
 * @module
 */

import type { Activation, Tensor } from "../../backends/backend.ts";
import type { PackOptions } from "../../backends/backend.ts";
import { rowsOf } from "../../base/shapes.ts";
import { type RecordGradients, sumRows } from "../tape.ts";

/** What a weight was packed of. */
export interface PackedMatrix extends PackOptions {
  /** W, or Wᵀ with `transpose`. */
  readonly matrix: Tensor;
}

/**
 * y = x·Wᵀ + b + a, by x, by the matrix and by what of b and a there is: dx = dy·W, dW = dyᵀ·x, products of
 * the same kind as y.
 */
export function linearGradients(
  x: Tensor,
  { matrix, bias, transpose = false }: PackedMatrix,
  addTo: Tensor | undefined,
): RecordGradients {
  return (frame, dy, [xWanted, matrixWanted, biasWanted]) => {
    const product = (left: Tensor, right: Tensor): Tensor => {
      // leftᵀ · right, of tensors with the same number of rows.
      const rows = [1, rowsOf(left), left.shape.at(-1)!];
      using turned = frame.transpose(frame.reshape(left, rows));
      const columns = frame.reshape(right, [rowsOf(right), right.shape.at(-1)!]);
      using packed = frame.pack(columns, { transpose: true });
      return frame.linear(turned, packed);
    };
    const byX = () => {
      using packed = frame.pack(matrix, { transpose: !transpose });
      return frame.linear(dy, packed);
    };
    return [
      xWanted ? byX() : undefined,
      matrixWanted ? transpose ? product(x, dy) : product(dy, x) : undefined,
      ...(bias ? [biasWanted ? sumRows(frame, dy) : undefined] : []),
      ...(addTo ? [dy] : []),
    ];
  };
}

/** y = activation(x), by x. */
export function activateGradients(x: Tensor, activation: Activation): RecordGradients {
  return (frame, dy) => [frame.activateGradient(x, dy, activation)];
}
