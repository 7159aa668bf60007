/**
 * What the frames of all backends have in common: how long they and their tensors live.
 *
 * @module
 */

import { disposedError } from "./errors.ts";
import { type Owned, Scopes } from "./scopes.ts";

/** The last run of a frame, as its tensors see it. Keeps nothing else of the frame alive. */
export class LastRun {
  #run: Promise<void> | undefined;

  /** Sets the run that later readings wait for. */
  begin(run: Promise<void>): Promise<void> {
    this.#run = run;
    return run;
  }

  /**
   * Waits for values that were asked for, and for the run that was the last one then.
   *
   * @throws The error of the run, if it failed: then the values mean nothing.
   */
  async read<T>(values: Promise<T>): Promise<T> {
    const run = this.#run;
    // The error of the run comes first, whatever becomes of the values.
    values.catch(() => {});
    await run;
    return await values;
  }
}

/** A frame's state from its creation to its disposal. */
export class FrameLife {
  /** What was made in the frame and goes with it or with a scope in it. */
  readonly scopes: Scopes = new Scopes();
  /** What the frame's tensors wait for when they are read. */
  readonly lastRun: LastRun = new LastRun();
  /** Tensors kept since the last run: without a run they have no content. */
  #unfilled: Owned[] = [];
  /** Ends the frame's hold on the memory of the tensors kept. */
  readonly #releases: (() => void)[] = [];
  #disposed = false;

  /** @throws {ReferenceError} If the frame was disposed of. */
  assertAlive(): void {
    if (this.#disposed) throw disposedError("the frame");
  }

  /**
   * Makes a tensor that outlives the frame. Each run of the frame writes to it, so that its memory is
   * freed once both have been disposed of. If the frame goes before the next run, so does the tensor.
   *
   * @param make Makes the tensor; disposing of it has to call `release` once.
   * @param free Frees the memory of the tensor.
   */
  keep<T extends Owned>(make: (release: () => void) => T, free: () => void): T {
    let holders = 2;
    const release = () => {
      if (--holders === 0) free();
    };
    const tensor = make(release);
    this.#releases.push(release);
    this.#unfilled.push(tensor);
    return tensor;
  }

  /**
   * Begins a run.
   *
   * @throws {ReferenceError} If the frame was disposed of.
   */
  async run(work: () => Promise<void>): Promise<void> {
    this.assertAlive();
    this.#unfilled = [];
    await this.lastRun.begin(work());
  }

  /** Disposes of what the frame owns; false if that was done before. */
  dispose(): boolean {
    if (this.#disposed) return false;
    this.#disposed = true;
    this.scopes.dispose();
    for (const tensor of this.#unfilled.splice(0)) tensor.dispose();
    for (const release of this.#releases.splice(0)) release();
    return true;
  }
}
