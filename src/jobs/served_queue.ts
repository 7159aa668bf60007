/**
 * What a service needs of a queue, wherever that is: in memory, or on a server that many machines share.
 *
 * @module
 */

import type { Job, JobRequest } from "./job.ts";
import type { JobQueueLimits } from "./queue.ts";

/** A queue of jobs, for those who ask for pictures. `JobQueue` is one, in memory. */
export interface ServedQueue {
  /** Limits of the queue. */
  readonly limits: JobQueueLimits;
  /** Number of jobs that wait. */
  readonly length: number;
  /** Number of jobs that run. */
  readonly running: number;
  /** Whether it takes no more jobs. */
  readonly closed: boolean;
  /** Places that are free for a client. */
  placesFor(client: string): number;
  /**
   * Checks that a job could be added now.
   *
   * @param others Jobs of the client that are about to be added before it. Default 0.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  checkPlace(client: string, others?: number): void;
  /**
   * Adds a job.
   *
   * @param client Whose job it is.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  add(request: JobRequest, client: string): Job;
  /** Seconds until a job is through. */
  secondsTo(job: Job): number;
  /** Seconds until all that waits and runs now is through. */
  secondsToEmpty(): number;
  /** Takes no more jobs, and gives those back that wait. Those that run go on. */
  close(): void;
}

/** A queue whose jobs are drawn elsewhere. */
export interface RemoteQueue extends ServedQueue {
  /** Fulfilled when it is closed and nobody waits for a job any more. */
  readonly finished: Promise<void>;
}
