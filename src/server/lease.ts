/**
 * Signs of life of a request: some runtimes end a request whose client has left without running any
 * more of its code, `finally` included.
 *
 * @module
 */

import { nextTurn } from "../base/event_loop.ts";

/** Milliseconds between two signs of life. */
const BEAT = 1000;
/** Milliseconds without one after which a request counts as dead. */
const PATIENCE = 10_000;

/** Holds something for as long as the request lives that it was made in. */
export class Lease {
  #seen = Date.now();
  /** Timers end with their request. */
  readonly #timer = setInterval(() => this.#seen = Date.now(), BEAT);

  /**
   * Whether the request has died without ending the lease. Where the whole thread was busy for long, timers
   * that are due get their turn first.
   */
  async isDead(): Promise<boolean> {
    if (!this.#isLate()) return false;
    await nextTurn();
    await nextTurn();
    return this.#isLate();
  }

  /** Ends the signs of life; to be called by the request itself. */
  end(): void {
    clearInterval(this.#timer);
  }

  #isLate(): boolean {
    return Date.now() - this.#seen > PATIENCE;
  }
}
