/**
 * Requests that bring pictures, on their way to the queue.
 *
 * @module
 */

import type { ServedQueue } from "../jobs/served_queue.ts";

/** How a request that brings pictures is read. */
export interface UploadReader<Body, T> {
  /** Reads the body, which comes as slowly as its client likes. */
  body(): Promise<Body>;
  /** Makes of it what can wait in the queue, which takes the memory of whole pictures. */
  fit(body: Body): Promise<T>;
}

/** Counts uploads as requests that wait, and gives memory for pictures to one at a time. */
export class Uploads {
  readonly #queue: ServedQueue;
  /** Uploads in progress by client. */
  readonly #counts = new Map<string, number>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param queue Where their jobs will wait. */
  constructor(queue: ServedQueue) {
    this.#queue = queue;
  }

  /**
   * Reads an upload. There has to be a place for it beside the other uploads of the client.
   *
   * @throws {QueueFullError} If there is no place; then nothing is read.
   * @throws {QueueClosedError} If the queue is closed.
   * @throws What the reader throws, or the reason of the signal.
   */
  async read<Body, T>(
    client: string,
    signal: AbortSignal,
    reader: UploadReader<Body, T>,
  ): Promise<T> {
    const others = this.#counts.get(client) ?? 0;
    this.#queue.checkPlace(client, others);
    this.#counts.set(client, others + 1);
    try {
      const body = await reader.body();
      return await this.#inTurn(() => {
        signal.throwIfAborted();
        return reader.fit(body);
      });
    } finally {
      const count = this.#counts.get(client)! - 1;
      if (count > 0) this.#counts.set(client, count);
      else this.#counts.delete(client);
    }
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task);
    this.#last = done.then(() => {}, () => {});
    return await done;
  }
}
