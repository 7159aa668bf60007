/**
 * What the terminal shows of a model that is being loaded.
 *
 * @module
 */

import type { LoadEvent } from "../files/progress.ts";
import { ProgressBar } from "../pipeline/progress_bar.ts";

/** Bytes that are worth a bar; configurations alone are not. */
const LEAST_BYTES = 2 ** 20;

/** Shows a bar while files come over the network, and what a user should know. */
export class LoadDisplay implements Disposable {
  #downloading = false;
  #bar: ProgressBar | undefined;

  /** Takes the events of a loading model. */
  readonly onProgress = (event: LoadEvent): void => {
    if (event.type === "download") this.#downloading = true;
    if (event.type === "notice") this.#tell(event.message);
    if (event.type !== "total" || !this.#downloading || event.total < LEAST_BYTES) return;
    this.#bar ??= new ProgressBar("Downloading", { done: event.loaded, format: megabytes });
    this.#bar.update(event.loaded, event.total);
  };

  /** Clears the bar. */
  [Symbol.dispose](): void {
    this.#bar?.end();
  }

  #tell(message: string): void {
    this.#bar?.end();
    console.error(`note: ${message}`);
  }
}

function megabytes(done: number, total: number): string {
  return `${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
}
