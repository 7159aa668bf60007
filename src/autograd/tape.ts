/**
 * What a tape holds: operations, their results, and how to compute gradients through them.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { rowsOf } from "../base/shapes.ts";

/**
 * Records the gradients of an operation by its inputs.
 *
 * @param frame Where they are recorded.
 * @param dy The gradient by its result, in the shape of that.
 * @param wanted For each input, whether its gradient is wanted; for others any or none may be given.
 * @returns For each input the gradient by it: `dy` itself, or a new tensor of as many elements as the
 *   input.
 */
export type RecordGradients = (
  frame: Frame,
  dy: Tensor,
  wanted: readonly boolean[],
) => readonly (Tensor | undefined)[];

/** An operation that was recorded. */
export interface TapeEntry {
  /** Its name, as a method of `Frame`. */
  readonly name: string;
  /** The tensors that its result depends on. */
  readonly inputs: readonly Tensor[];
  /** Its result. */
  readonly result: Tensor;
  /** Its gradients. */
  readonly gradients: RecordGradients;
}

/** Operations that were recorded. */
export interface Tape {
  /** Where they were recorded, and gradients are. */
  readonly frame: Frame;
  /** The operations so far, in order. */
  readonly entries: readonly TapeEntry[];
}

/**
 * The one id 0: for `scatterAdd`, the sum of all rows.
 *
 * @returns (1), in the memory of the frame.
 */
export function idZero(frame: Frame): Tensor<"i32"> {
  return constantIds(frame, [0]);
}

/** Ids that stay the same from run to run. */
export function constantIds(frame: Frame, ids: readonly number[]): Tensor<"i32"> {
  const tensor = frame.empty([ids.length], "i32");
  tensor.write(Int32Array.from(ids));
  return tensor;
}

/**
 * Σ of the rows of x (…, columns): (1, columns). Many rows are added in parts, which threads share and whose
 * sums are more exact.
 */
export function sumRows(frame: Frame, x: Tensor): Tensor {
  const rows = rowsOf(x);
  const parts = divisorNearRoot(rows);
  if (parts < 2 || rows < LEAST_PARTED) return frame.scatterAdd(x, idZero(frame), 1);
  const ids = constantIds(frame, Array.from({ length: parts }, (_, i) => i));
  using sums = frame.scatterAdd(x, ids, parts);
  return frame.scatterAdd(sums, idZero(frame), 1);
}

/** Fewest rows that are added in parts. */
const LEAST_PARTED = 256;

/** The largest divisor of n whose square is not above it. */
function divisorNearRoot(n: number): number {
  let divisor = Math.floor(Math.sqrt(n));
  while (divisor > 1 && n % divisor !== 0) divisor--;
  return divisor;
}
