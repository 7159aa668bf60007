/**
 * Activation checkpointing (Chen et al., arXiv 1604.06174): what a part of a model computes is forgotten, and
 * computed again where gradients need it.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";
import { flatGradients } from "./backward.ts";
import type { RecordGradients, Tape, TapeEntry } from "./tape.ts";

/**
 * Records a part of a model, of which only the result is kept.
 *
 * @param begin Begins a tape to record the part on; called once more for gradients.
 * @param part Records it: the same operations each time, on its argument and on tensors from outside.
 * @returns What is to be noted. Its inputs are all that the part takes from outside.
 */
export function recordCheckpoint(
  begin: () => Tape & Frame,
  x: Tensor,
  part: (frame: Frame, x: Tensor) => Tensor,
): Omit<TapeEntry, "name"> {
  const tape = begin();
  const own = part(tape, x);
  // In memory of its own, as it may be another shape of what is forgotten.
  const result = tape.frame.repeat(own, 1);
  const inputs = inputsOf(tape, own);
  forget(tape);
  const gradients: RecordGradients = (_frame, dy, wanted) => {
    const again = begin();
    const start = { result: part(again, x), gradient: dy };
    const sources = inputs.filter((_, i) => wanted[i]);
    const found = separate(again, flatGradients(again, [start], sources), dy);
    forget(again);
    const bySource = new Map(sources.map((source, i) => [source, found[i]]));
    return inputs.map((input) => bySource.get(input));
  };
  return { inputs, result, gradients };
}

/** The tensors that the operations on a tape, and what follows, take from outside of it. */
function inputsOf({ entries }: Tape, result: Tensor): readonly Tensor[] {
  const inside = new Set(entries.map(({ result }) => result));
  const taken = new Set([...entries.flatMap(({ inputs }) => inputs), result]);
  return [...taken].filter((tensor) => !inside.has(tensor));
}

/** Gradients that share no memory, but for those that are `dy` itself. */
function separate(
  { frame }: Tape,
  gradients: readonly (Tensor | undefined)[],
  dy: Tensor,
): readonly (Tensor | undefined)[] {
  return gradients.map((dx, i) =>
    dx && dx !== dy && gradients.indexOf(dx) < i ? frame.repeat(dx, 1) : dx
  );
}

/** Gives the memory of all results back. */
function forget({ entries }: Tape): void {
  for (const { result } of entries) result.dispose();
}
