/**
 * What the terminal shows of a model that is being loaded.
 *
 * @module
 */

import type { LoadEvent } from "../files/progress.ts";
import { formatBytes } from "../base/format.ts";
import { ProgressBar } from "../base/progress_bar.ts";
import { printMessage } from "./terminal.ts";

/** Bytes that are worth a bar; configurations alone are not. */
const LEAST_BYTES = 2 ** 20;

/** Shows a bar while files come over the network, and what a user should know. */
export class LoadDisplay implements Disposable {
  #downloading = false;
  #bar: ProgressBar | undefined;

  /** Takes the events of a loading model. */
  readonly onProgress = (event: LoadEvent): void => {
    if (event.type === "download") this.#downloading = true;
    if (event.type === "notice") this.#note(event.message);
    if (event.type !== "total" || !this.#downloading || event.total < LEAST_BYTES) return;
    this.#bar ??= new ProgressBar("Downloading", { done: event.loaded, format: formatShare });
    this.#bar.update(event.loaded, event.total);
  };

  /** Clears the bar. */
  [Symbol.dispose](): void {
    this.#bar?.end();
  }

  #note(message: string): void {
    this.#bar?.end();
    printMessage(`note: ${message}`);
  }
}

function formatShare(done: number, total: number): string {
  return `${formatBytes(done)} of ${formatBytes(total)}`;
}
