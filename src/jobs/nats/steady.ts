/**
 * Trying again: servers stop and start while others work.
 *
 * @module
 */

import { JetStreamApiError, JetStreamError } from "npm:@nats-io/jetstream@3.4.0";
import { errors } from "npm:@nats-io/nats-core@3.4.0";

/** Milliseconds before the first new attempt, and the most before later ones. */
const DELAYS = { first: 100, most: 2000 };

/** Errors that pass by themselves. */
const TRANSIENT = [
  errors.TimeoutError,
  errors.RequestError,
  errors.NoRespondersError,
  errors.ConnectionError,
];

/** What to do until it succeeds. */
export interface SteadyOptions {
  /** Ends the attempts. */
  readonly signal?: AbortSignal | undefined;
  /** Puts up what may be missing, before a new attempt. */
  readonly repair: () => Promise<void>;
}

/**
 * Does something, and does it again as long as the server does not answer.
 *
 * @throws What does not pass by itself, or the reason of the signal.
 */
export async function steadily<T>(
  task: () => Promise<T>,
  { signal, repair }: SteadyOptions,
): Promise<T> {
  signal?.throwIfAborted();
  for (let delay = DELAYS.first;; delay = Math.min(2 * delay, DELAYS.most)) {
    try {
      return await task();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    await pause(delay, signal);
    signal?.throwIfAborted();
    try {
      await repair();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }
}

/** Waits for so many milliseconds, or until the signal is aborted. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const end = () => resolve();
  signal?.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", end);
}

function isTransient(error: unknown): boolean {
  // Streams are missing for a moment after a start, or were lost with a server's disk.
  if (error instanceof JetStreamApiError) return [404, 500, 503].includes(error.status);
  // The class is not exported; servers that were asked before have it enabled.
  if (error instanceof Error && error.name === "JetStreamNotEnabled") return true;
  return error instanceof JetStreamError || TRANSIENT.some((kind) => error instanceof kind);
}
