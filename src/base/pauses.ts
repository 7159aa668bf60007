/**
 * Long work that lets other work through.
 *
 * @module
 */

import { nextTurn } from "./event_loop.ts";

/** Milliseconds of work between two pauses: short enough for an abort to act at once. */
const SLICE = 20;

/** Work in parts: it yields wherever other work may come between two of them. */
export type Steps<T> = Generator<void, T, void>;

/** Does all parts of some work, and returns its result. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Does all parts of some work, and lets timers, events and aborts through where it takes long. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  const pauses = new Pauses();
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await pauses.takeIfDue();
  }
}

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
