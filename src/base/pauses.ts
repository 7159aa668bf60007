/**
 * Long work that lets other work through.
 *
 * @module
 */

import { nextTurn } from "./event_loop.ts";

/** Milliseconds of work between two pauses: short enough for an abort to act at once. */
const SLICE = 20;

/** Lets timers, events and aborts through during long work on the calling thread. */
export class Pauses {
  #sliceEnd = performance.now() + SLICE;

  /** Lets the event loop turn if it has had to wait for long; to be called often. */
  async takeIfDue(): Promise<void> {
    if (performance.now() < this.#sliceEnd) return;
    await nextTurn();
    this.#sliceEnd = performance.now() + SLICE;
  }
}
