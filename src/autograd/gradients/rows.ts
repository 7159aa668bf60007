/**
 * Gradients of operations on rows, and of those that only move elements.
 *
 * @module
 */

import type { Tensor } from "../../backends/backend.ts";
import { elementCount } from "../../base/shapes.ts";
import { constantIds, type RecordGradients, sumRows } from "../tape.ts";

/** y = table[ids] (+ position[i mod positions]), by the table and, if there are any, the positions. */
export function embeddingGradients(
  ids: Tensor<"i32">,
  table: Tensor,
  position: Tensor | undefined,
): RecordGradients {
  return (frame, dy, [tableWanted, positionWanted]) => {
    const count = elementCount(ids.shape);
    const sum = (ids: Tensor<"i32">, { shape }: Tensor) => frame.scatterAdd(dy, ids, shape[0]!);
    const inTurn = (positions: number) =>
      constantIds(frame, Array.from({ length: count }, (_, i) => i % positions));
    return [
      tableWanted ? sum(ids, table) : undefined,
      position && positionWanted ? sum(inTurn(position.shape[0]!), position) : undefined,
    ];
  };
}

/** y = a · gelu(b) for rows (a, b) of x, by x. */
export function gegluGradients(x: Tensor): RecordGradients {
  return (frame, dy) => [frame.gegluGradient(x, dy)];
}

/** y = x − log Σ exp x, by x. */
export function logSoftmaxGradients(y: Tensor): RecordGradients {
  return (frame, dy) => [frame.logSoftmaxGradient(y, dy)];
}

/** y is x, several times in a row; by x. */
export function repeatGradients(x: Tensor, times: number): RecordGradients {
  return (frame, dy) => {
    const copies = frame.reshape(dy, [times, elementCount(x.shape)]);
    return [sumRows(frame, copies)];
  };
}

/** y is x with rows and columns exchanged; by x. */
export function transposeGradients(): RecordGradients {
  return (frame, dy) => [frame.transpose(dy)];
}

/** y has the elements of x; by x. */
export function reshapeGradients(): RecordGradients {
  return (_frame, dy) => [dy];
}

/** z = x + y, by both. */
export function addGradients(): RecordGradients {
  return (_frame, dy) => [dy, dy];
}

/** z = x · y, by both. */
export function multiplyGradients(x: Tensor, y: Tensor): RecordGradients {
  return (frame, dz, [xWanted, yWanted]) => [
    xWanted ? frame.multiply(dz, y) : undefined,
    yWanted ? frame.multiply(dz, x) : undefined,
  ];
}
