/**
 * Errors of backends.
 *
 * @module
 */

/**
 * The GPU was lost: unplugged, reset by its driver, or destroyed by its owner. Everything in its
 * memory is gone; who keeps the state elsewhere can go on with another backend.
 */
export class DeviceLostError extends Error {
  /** Name of the class. */
  override readonly name = "DeviceLostError";
}

/**
 * A thread of the CPU backend ended while it computed. What the run should have written is not to be used;
 * the backend has other threads for the next run.
 */
export class WorkerFailedError extends Error {
  /** Name of the class. */
  override readonly name = "WorkerFailedError";
}

/**
 * The error for the use of something that was disposed of.
 *
 * @param what Such as `the frame`.
 */
export function disposedError(what: string): ReferenceError {
  return new ReferenceError(`Cannot use ${what}: it was disposed of`);
}
