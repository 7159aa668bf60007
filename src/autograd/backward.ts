/**
 * Going through a tape from its end: reverse-mode differentiation.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { formatShape } from "../base/format.ts";
import type { TapeEntry } from "./tape.ts";
import type { TapeFrame } from "./tape_frame.ts";

/** What {@linkcode backward} goes from. */
export interface BackwardStart {
  /** A result on the tape. */
  readonly result: Tensor;
  /** The gradient by it, in its shape: ones, or the weights of its elements in a sum. */
  readonly gradient: Tensor;
}

/**
 * Records the gradients of Σ gradient · result by tensors that the result was computed from. They are
 * recorded on the frame below the tape, behind what was recorded there, and run with it.
 *
 * @param sources Parameters, or any other tensors.
 * @returns For each of them the gradient, in its shape; undefined if the result does not depend on it.
 * @throws {RangeError} If the shapes of result and gradient differ.
 * @throws {TypeError} If an operation in between has no gradient.
 */
export function backward(
  tape: TapeFrame,
  { result, gradient }: BackwardStart,
  sources: readonly Tensor[],
): (Tensor | undefined)[] {
  if (formatShape(result.shape) !== formatShape(gradient.shape)) {
    throw new RangeError(
      `Cannot compute gradients: the shape of gradient is ${formatShape(gradient.shape)}, ` +
        `expected ${formatShape(result.shape)}`,
    );
  }
  const needed = dependents(tape.entries, sources);
  const gradients = new Gradients(tape.frame);
  gradients.add(result, gradient);
  for (const entry of tape.entries.toReversed()) {
    const dy = gradients.get(entry.result);
    const wanted = entry.inputs.map((input) => needed.has(input));
    if (dy === undefined || !wanted.includes(true)) continue;
    entry.gradients(tape.frame, dy, wanted).forEach((dx, i) => {
      if (dx !== undefined && wanted[i]) gradients.add(entry.inputs[i]!, dx);
    });
  }
  return sources.map((source) => gradients.get(source));
}

/** The sources, and all results that depend on one of them. */
function dependents(entries: readonly TapeEntry[], sources: readonly Tensor[]): Set<Tensor> {
  const found = new Set(sources);
  for (const { inputs, result } of entries) {
    if (inputs.some((input) => found.has(input))) found.add(result);
  }
  return found;
}

/** Sums of the gradients by each tensor. */
class Gradients {
  readonly #frame: Frame;
  readonly #sums = new Map<Tensor, Tensor>();

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get(tensor: Tensor): Tensor | undefined {
    return this.#sums.get(tensor);
  }

  add(tensor: Tensor, gradient: Tensor): void {
    const sum = this.#sums.get(tensor);
    this.#sums.set(tensor, sum === undefined ? gradient : this.#frame.add(sum, gradient));
  }
}
