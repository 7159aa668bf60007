/**
 * How many generations there may be at once.
 *
 * @module
 */

import { Lease } from "./lease.ts";

/** The place of a generation. */
export interface Place {
  /** Aborted if the place is taken back, as its request died. */
  readonly signal: AbortSignal;
  /** Gives the place back. */
  release(): void;
}

interface Holder {
  readonly lease: Lease;
  readonly controller: AbortController;
}

/** A number of places, from which those come back whose requests have died. */
export class Places {
  readonly #count: number;
  readonly #holders = new Set<Holder>();

  /** @param count Number of places. */
  constructor(count: number) {
    this.#count = count;
  }

  /** A place, if one is free. */
  async take(): Promise<Place | undefined> {
    // What the dead hold is freed also where there is room: it takes memory.
    for (const holder of this.#holders) {
      if (await holder.lease.isDead()) this.#takeBack(holder);
    }
    if (this.#holders.size >= this.#count) return undefined;
    const holder = { lease: new Lease(), controller: new AbortController() };
    this.#holders.add(holder);
    return {
      signal: holder.controller.signal,
      release: () => {
        holder.lease.end();
        this.#holders.delete(holder);
      },
    };
  }

  #takeBack(holder: Holder): void {
    if (!this.#holders.delete(holder)) return;
    holder.controller.abort(new Error("the request has died"));
  }
}
