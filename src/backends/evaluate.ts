/**
 * Running what a model or scheduler records, for callers that have no frame of their own.
 *
 * @module
 */

import type { Backend, Frame, FrameOptions, RunOptions } from "./backend.ts";

/**
 * Records operations on a frame of their own and submits them. What of them is to stay has to be kept
 * by {@linkcode Frame.keep}: all else goes with the frame, as soon as the run is over.
 *
 * @param record Records the operations; gives what it keeps.
 * @returns What `record` gives, at once. Reading a tensor of it waits for the run, and rejects if that fails.
 */
export function evaluate<T>(
  backend: Backend,
  record: (frame: Frame) => T,
  { signal, portable }: RunOptions & FrameOptions = {},
): T {
  signal?.throwIfAborted();
  using frame = backend.frame({ portable });
  const kept = record(frame);
  // Whoever reads a result gets the error; nobody else needs it.
  frame.run({ signal }).catch(() => {});
  return kept;
}
