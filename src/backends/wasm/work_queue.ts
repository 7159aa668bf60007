/**
 * The order of work on a backend.
 *
 * @module
 */

import type { Execution } from "./runner.ts";

/** Work that was submitted. */
interface Entry {
  /** Does a part of it; undefined if that was the last. */
  advance(): Promise<void> | undefined | void;
  /** Whether nobody waits for it; it is done as soon as it can be, whoever drives the queue. */
  readonly deferred: boolean;
  /** Whether it is done also after deferred work has failed. */
  readonly always: boolean;
  done: boolean;
  /** What it failed of. */
  failure?: { readonly error: unknown };
}

/**
 * Work that is done in the order in which it was submitted.
 *
 * Whoever waits for work drives the queue until that is done, whatever comes before it. No promise leads
 * from one caller to another: edge runtimes end the promises of a request when its client leaves, and
 * work that was queued behind them would be lost or never begin.
 */
export class WorkQueue {
  readonly #entries: Entry[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** Whether nothing is submitted that has not ended. */
  get idle(): boolean {
    return this.#entries.length === 0;
  }

  /**
   * Calls `work` after all that was submitted before, at once if that is nothing. Nobody waits for it: if it
   * fails, so does all later work, which relies on it.
   *
   * @param options.always Whether it is called also if what it comes after has failed, as it relies on none
   *   of it.
   */
  defer(work: () => void, { always = false }: Pick<Partial<Entry>, "always"> = {}): void {
    if (this.idle) work();
    else this.#add(work, { deferred: true, always });
  }

  /** Calls `work` after all that was submitted before, at once if that is nothing. */
  async call<T>(work: () => T): Promise<T> {
    let result: { readonly value: T } | undefined;
    await this.#finish(this.#add(() => {
      result = { value: work() };
    }));
    return result!.value;
  }

  /**
   * Runs a job after all that was submitted before; it begins at once if that is nothing.
   *
   * @param start Begins the job.
   * @returns Whether the job came to its end.
   */
  async run(start: () => Execution): Promise<boolean> {
    let execution: Execution | undefined;
    await this.#finish(this.#add(() => {
      execution ??= start();
      return execution.advance();
    }));
    return execution!.ended!;
  }

  /** Calls `work` after all that was submitted before, also if that has failed: it relies on none of it. */
  end(work: () => void): Promise<void> {
    return this.#finish(this.#add(work, { always: true }));
  }

  #add(
    advance: Entry["advance"],
    { deferred = false, always = false }: Partial<Pick<Entry, "deferred" | "always">> = {},
  ): Entry {
    const entry: Entry = { advance, deferred, always, done: false };
    this.#entries.push(entry);
    return entry;
  }

  /** Drives the queue until an entry is done. */
  async #finish(entry: Entry): Promise<void> {
    while (!entry.done) {
      const more = this.#advance();
      if (more) await more;
    }
    if (entry.failure) throw entry.failure.error;
  }

  /** Does a part of the first entry's work; with its last part, what was deferred until then. */
  #advance(): Promise<void> | undefined {
    do {
      const entry = this.#entries[0]!;
      try {
        if (this.#failure && !entry.always) throw this.#failure.error;
        const more = entry.advance();
        if (more) return more;
      } catch (error) {
        entry.failure = { error };
        if (entry.deferred) this.#failure ??= { error };
      }
      entry.done = true;
      this.#entries.shift();
    } while (this.#entries[0]?.deferred);
    return undefined;
  }
}
