/**
 * The queue on a NATS server, as a service sees it.
 *
 * @module
 */

import { isOver, Job, type JobRequest } from "../job.ts";
import { type JobQueueLimits, QueueClosedError, QueueFullError } from "../queue.ts";
import type { RemoteQueue } from "../served_queue.ts";
import { remembered, Speed, type WorkOf } from "../speed.ts";
import type { Exchange, Figures } from "./exchange.ts";
import { RemoteJob } from "./remote_job.ts";
import { pause } from "./steady.ts";

/** Milliseconds from one look at the queue's length to the next. */
const LOOK_MS = 1000;

/** Seconds of a job if nothing has been measured yet. */
const FIRST_GUESS = 5;

/** Jobs that workers elsewhere draw. Servers share them, and what they know of the length is a second old. */
export class NatsQueue implements RemoteQueue {
  /** Limits of the queue: of all jobs of the model that wait, and of those of a client that wait here. */
  readonly limits: JobQueueLimits;
  /** Fulfilled when it is closed and nobody waits for a job any more. */
  readonly finished: Promise<void>;
  readonly #exchange: Exchange;
  readonly #speed = new Speed();
  readonly #jobs = new Map<Job, RemoteJob>();
  readonly #closing = new AbortController();
  readonly #idle = Promise.withResolvers<void>();
  #figures: Figures;
  /** Jobs that were added since the figures were told. */
  #added = 0;
  /** Calls of the network for the job that was added last, as a guess for others. */
  #calls = 0;
  readonly #workOf: WorkOf;

  private constructor(
    exchange: Exchange,
    limits: JobQueueLimits,
    workOf: WorkOf,
    figures: Figures,
  ) {
    this.#exchange = exchange;
    this.limits = limits;
    this.#workOf = remembered(workOf);
    this.#figures = figures;
    this.finished = Promise.all([this.#idle.promise, this.#watchFigures()]).then(() => {});
  }

  /**
   * Opens the queue.
   *
   * @param workOf Tells what jobs take, from which the seconds follow.
   */
  static async open(
    exchange: Exchange,
    limits: JobQueueLimits,
    workOf: WorkOf,
  ): Promise<NatsQueue> {
    return new NatsQueue(exchange, limits, workOf, await exchange.figures());
  }

  /** Number of jobs that wait. */
  get length(): number {
    return this.#figures.waiting + this.#added;
  }

  /** Number of jobs that run. */
  get running(): number {
    return this.#figures.running;
  }

  /** Whether it takes no more jobs. */
  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Places that are free for a client. */
  placesFor(client: string): number {
    const { capacity, capacityPerClient } = this.limits;
    const own = this.#jobs.keys().filter((job) => {
      return job.client === client && job.state.status === "queued";
    });
    return Math.max(0, Math.min(capacity - this.length, capacityPerClient - own.toArray().length));
  }

  /**
   * Checks that a job could be added now.
   *
   * @param others Jobs of the client that are about to be added before it.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  checkPlace(client: string, others = 0): void {
    if (this.closed) throw new QueueClosedError();
    // A worker that waits takes one at once.
    const idle = Math.max(0, this.#figures.idle - this.length);
    if (idle + this.placesFor(client) > others) return;
    const { capacity, capacityPerClient } = this.limits;
    const retryAfter = Math.max(1, Math.ceil(this.#secondsEach()));
    const what = this.length + others >= capacity
      ? `${capacity} requests wait`
      : `${capacityPerClient} requests of yours wait`;
    const message = `${what}, which is as many as may; try again in ${retryAfter} s`;
    throw new QueueFullError(retryAfter, message);
  }

  /**
   * Adds a job. If its pictures are stored, they are its result; if somebody else has asked for it, it is
   * drawn once.
   *
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  add(request: JobRequest, client: string): Job {
    this.checkPlace(client);
    const job = new Job(request, client, () => {});
    const remote = new RemoteJob(job, this.#exchange, () => this.#figures);
    this.#jobs.set(job, remote);
    this.#added++;
    this.#calls = this.#workOf(request).calls;
    this.#measure(job);
    remote.follow().then(() => {
      this.#jobs.delete(job);
      if (this.closed && this.#jobs.size === 0) this.#idle.resolve();
    });
    return job;
  }

  /** Seconds until a job is through. */
  secondsTo({ state, request }: Job): number {
    const own = this.#speed.seconds(this.#workOf(request).calls) ?? FIRST_GUESS;
    if (state.status === "queued") return own + (state.ahead + 1) * this.#secondsEach();
    // At strength 0 there are no steps.
    return state.status === "running" ? own * (1 - state.step / Math.max(1, state.steps)) : 0;
  }

  /** Seconds until all that waits and runs now is through. */
  secondsToEmpty(): number {
    return (this.length + this.running) * this.#secondsEach();
  }

  /** Takes no more jobs, and gives those back that wait. Those that run go on. */
  close(): void {
    this.#closing.abort();
    for (const job of this.#jobs.keys()) {
      if (job.state.status === "queued") {
        job.report({ status: "failed", error: new QueueClosedError() });
      }
    }
    if (this.#jobs.size === 0) this.#idle.resolve();
  }

  /** Seconds from the end of one job to that of the next, as each worker has one. */
  #secondsEach(): number {
    const seconds = this.#speed.seconds(this.#calls) ?? FIRST_GUESS;
    return seconds / Math.max(1, this.running);
  }

  async #measure(job: Job): Promise<void> {
    let start: number | undefined;
    for await (const { status } of job.states()) {
      if (status === "running") start ??= performance.now();
      if (status !== "done" || start === undefined) continue;
      const { calls } = this.#workOf(job.request);
      this.#speed.measured(calls, (performance.now() - start) / 1000, 1);
    }
  }

  async #watchFigures(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await pause(LOOK_MS, signal);
      const added = this.#added;
      try {
        this.#figures = await this.#exchange.figures(signal);
      } catch {
        // It is closed, or the server refuses, which those hear who add a job.
        continue;
      }
      this.#added -= added;
      this.#reportPlaces();
    }
  }

  #reportPlaces(): void {
    const { waiting, delivered } = this.#figures;
    for (const [job, { sequence }] of this.#jobs) {
      if (isOver(job.state) || job.state.status !== "queued" || sequence === undefined) continue;
      const ahead = Math.max(0, Math.min(sequence - delivered, waiting) - 1);
      if (ahead !== job.state.ahead) job.report({ status: "queued", ahead });
    }
  }
}
