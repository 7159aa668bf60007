/**
 * Going through a tape from its end: reverse-mode differentiation.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { formatShape } from "../base/format.ts";
import type { Tape, TapeEntry } from "./tape.ts";

/** What {@linkcode backward} goes from. */
export interface BackwardStart {
  /** A result on the tape. */
  readonly result: Tensor;
  /** The gradient by it, in its shape: ones, or the weights of its elements in a sum. */
  readonly gradient: Tensor;
}

/**
 * Records the gradients of Σ gradient · result by tensors that the result was computed from; of several
 * results, of the sum of all. They are recorded on the frame below the tape, behind what was recorded there,
 * and run with it.
 *
 * What lies between the sources and the results is used up: its memory serves the gradients.
 *
 * @param sources Parameters, or any other tensors.
 * @returns For each of them the gradient, in its shape; undefined if no result depends on it.
 * @throws {RangeError} If the shapes of a result and its gradient differ.
 * @throws {TypeError} If an operation in between has no gradient.
 */
export function backward(
  tape: Tape,
  start: BackwardStart | readonly BackwardStart[],
  sources: readonly Tensor[],
): (Tensor | undefined)[] {
  const starts = [start].flat() as readonly BackwardStart[];
  return flatGradients(tape, starts, sources)
    .map((found, i) => found && inShape(tape.frame, found, sources[i]!.shape));
}

/**
 * What {@linkcode backward} does.
 *
 * @returns For each source the gradient, of as many elements: that of a start itself, or a tensor that may
 *   be the gradient by another source, too.
 */
export function flatGradients(
  { frame, entries }: Tape,
  starts: readonly BackwardStart[],
  sources: readonly Tensor[],
): (Tensor | undefined)[] {
  const gradients = new Gradients(frame, starts);
  const needed = dependents(entries, sources);
  const results = new Set(starts.map(({ result }) => result));
  for (const entry of entries.toReversed()) {
    const wanted = entry.inputs.map((input) => needed.has(input));
    const own = gradients.get(entry.result);
    if (own === undefined || !wanted.includes(true)) continue;
    const dy = inShape(frame, own, entry.result.shape);
    const found = entry.gradients(frame, dy, wanted)
      .map((dx, i) => wanted[i] ? dx === dy ? own : dx : undefined);
    const passed = found.filter((dx) => dx === own).length;
    if (passed > 1) gradients.pin(own);
    found.forEach((dx, i) => dx && gradients.add(entry.inputs[i]!, dx));
    const asked = sources.includes(entry.result);
    if (passed === 0 && !asked) gradients.release(own);
    // Nothing before it on the tape needs its result.
    if (!results.has(entry.result) && !asked) entry.result.dispose();
  }
  return sources.map((source) => gradients.get(source));
}

function inShape(frame: Frame, x: Tensor, shape: readonly number[]): Tensor {
  return formatShape(x.shape) === formatShape(shape) ? x : frame.reshape(x, shape);
}

/** The sources, and all results that depend on one of them. */
function dependents(entries: readonly TapeEntry[], sources: readonly Tensor[]): Set<Tensor> {
  const found = new Set(sources);
  for (const { inputs, result } of entries) {
    if (inputs.some((input) => found.has(input))) found.add(result);
  }
  return found;
}

/** Sums of the gradients by each tensor, whose memory is given back when they are used up. */
class Gradients {
  readonly #frame: Frame;
  readonly #sums = new Map<Tensor, Tensor>();
  /** Those whose memory is not given back: the caller's, and those that count for several tensors. */
  readonly #pinned: Set<Tensor>;

  /** @throws {RangeError} If the shapes of a result and its gradient differ. */
  constructor(frame: Frame, starts: readonly BackwardStart[]) {
    this.#frame = frame;
    this.#pinned = new Set(starts.map(({ gradient }) => gradient));
    for (const { result, gradient } of starts) {
      if (formatShape(result.shape) !== formatShape(gradient.shape)) {
        throw new RangeError(
          `Cannot compute gradients: the shape of gradient is ${formatShape(gradient.shape)}, ` +
            `expected ${formatShape(result.shape)}`,
        );
      }
      this.add(result, gradient);
    }
  }

  get(tensor: Tensor): Tensor | undefined {
    return this.#sums.get(tensor);
  }

  add(tensor: Tensor, gradient: Tensor): void {
    const before = this.#sums.get(tensor);
    if (before === undefined) {
      this.#sums.set(tensor, gradient);
      return;
    }
    this.#sums.set(tensor, this.#frame.add(before, gradient));
    this.release(before);
    this.release(gradient);
  }

  pin(gradient: Tensor): void {
    this.#pinned.add(gradient);
  }

  release(gradient: Tensor): void {
    if (!this.#pinned.has(gradient)) gradient.dispose();
  }
}
