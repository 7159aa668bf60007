/**
 * The sum of what is loaded. To be imported dynamically: only who wants to hear of it needs it.
 *
 * @module
 */

import type { LoadEvent, OnProgress } from "./progress.ts";

/** Adds up the progress of single files, and reports the sum too. */
export class TotalProgress {
  /** Takes the events of the files, and passes them on. */
  readonly onProgress: OnProgress;
  readonly #files = new Map<string, { readonly loaded: number; readonly total: number }>();
  readonly #listener: OnProgress;
  /** Sums over the files: adding them up for each event would take long where there are many. */
  #loaded = 0;
  #total = 0;

  /** Begins without any file. */
  constructor(listener: OnProgress) {
    this.#listener = listener;
    this.onProgress = (event) => this.#take(event);
  }

  /** Counts a file that is going to be read. */
  expect(file: string, total: number): void {
    if (!this.#files.has(file)) this.#set(file, 0, total);
  }

  #set(file: string, loaded: number, total: number): void {
    const before = this.#files.get(file) ?? { loaded: 0, total: 0 };
    this.#loaded += loaded - before.loaded;
    this.#total += total - before.total;
    this.#files.set(file, { loaded, total });
  }

  #take(event: LoadEvent): void {
    this.#listener(event);
    if (event.type === "progress" && event.total !== undefined) {
      this.#set(event.file, event.loaded, event.total);
    } else if (event.type === "done" && this.#files.has(event.file)) {
      // What was not read of it was not wanted.
      const { total } = this.#files.get(event.file) ?? { total: 0 };
      this.#set(event.file, total, total);
    } else return;
    this.#listener({ type: "total", loaded: this.#loaded, total: this.#total });
  }
}
