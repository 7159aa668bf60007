/**
 * The queue of jobs, in the memory of one process: bounded, and fair to its clients.
 *
 * @module
 */

import { shapeOf } from "./batch.ts";
import { Job, type JobRequest } from "./job.ts";
import { remembered, Speed, type WorkOf } from "./speed.ts";

/** Seconds after which to come again if nothing has been measured yet. */
const FIRST_GUESS = 5;

/** Limits of {@linkcode JobQueue}. */
export interface JobQueueLimits {
  /** Jobs that may wait, beside those that run. */
  readonly capacity: number;
  /** Of these, jobs of one client. */
  readonly capacityPerClient: number;
}

/** There is no place in the queue. */
export class QueueFullError extends Error {
  /** Name of the class. */
  override readonly name = "QueueFullError";

  /** Makes the error. */
  constructor(
    /** Seconds until a place is free, if nobody else takes it. */
    readonly retryAfter: number,
    message: string,
  ) {
    super(message);
  }
}

/** The queue takes no more jobs, or has given this one back: the service stops. */
export class QueueClosedError extends Error {
  /** Name of the class. */
  override readonly name = "QueueClosedError";

  /** Makes the error. */
  constructor() {
    super("The service is stopping and draws nothing more");
  }
}

/** Jobs that are drawn together. */
interface Run {
  /** When it began, as `performance.now()` has it. */
  readonly start: number;
  readonly jobs: Set<Job>;
}

/** Jobs that wait and jobs that run. */
export class JobQueue {
  /** Limits of the queue. */
  readonly limits: JobQueueLimits;
  /** How long jobs take. */
  readonly speed: Speed = new Speed();
  /** Waiting jobs by client, in the order in which the clients are served. */
  readonly #waiting = new Map<string, Job[]>();
  /** Jobs that run, and with which others. */
  readonly #running = new Map<Job, Run>();
  readonly #takers: ((job: Job | undefined) => void)[] = [];
  readonly #workOf: WorkOf;
  #closed = false;

  /**
   * Makes an empty queue.
   *
   * @param workOf Tells what jobs take, from which the seconds follow.
   */
  constructor(limits: JobQueueLimits, workOf: WorkOf) {
    this.limits = limits;
    this.#workOf = remembered(workOf);
  }

  /** Number of jobs that wait. */
  get length(): number {
    return this.#waiting.values().reduce((sum, jobs) => sum + jobs.length, 0);
  }

  /** Number of jobs that run. */
  get running(): number {
    return this.#running.size;
  }

  /** Whether it takes no more jobs. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Places that are free for a client. */
  placesFor(client: string): number {
    const { capacity, capacityPerClient } = this.limits;
    const own = this.#waiting.get(client)?.length ?? 0;
    return Math.max(0, Math.min(capacity - this.length, capacityPerClient - own));
  }

  /**
   * Checks that a job could be added now.
   *
   * @param others Jobs of the client that are about to be added before it.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  checkPlace(client: string, others = 0): void {
    if (this.#closed) throw new QueueClosedError();
    // A worker that waits takes one at once.
    const places = this.#takers.length + this.placesFor(client);
    if (places <= others) throw this.#full(client, others);
  }

  /**
   * Adds a job, or starts it if a worker waits.
   *
   * @param client Whose job it is: each client is served in turn.
   * @throws {QueueFullError} If there is no place.
   * @throws {QueueClosedError} If the queue is closed.
   */
  add(request: JobRequest, client: string): Job {
    this.checkPlace(client);
    const taker = this.#takers[0];
    const job = new Job(request, client, () => this.#remove(job));
    if (taker) {
      this.#takers.shift();
      this.#start(job);
      taker(job);
    } else {
      this.#waiting.set(client, [...this.#waiting.get(client) ?? [], job]);
      this.#reportPlaces();
    }
    return job;
  }

  /** Takes the next job to run; waits for one if there is none. Undefined when the queue is closed. */
  take(): Promise<Job | undefined> {
    const [first] = this.#waiting;
    if (first) {
      const [client, [job, ...others]] = first;
      this.#waiting.delete(client);
      // Its next job comes after those of all other clients.
      if (others.length > 0) this.#waiting.set(client, others);
      this.#start(job!);
      this.#reportPlaces();
      return Promise.resolve(job);
    }
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /**
   * Takes waiting jobs that can be drawn together with one that was taken just now, if that has proved to be
   * faster: in turn, one of each client, like the jobs that are taken alone.
   *
   * @param most Pictures in all.
   */
  takeAlike(job: Job, most: number): Job[] {
    const run = this.#running.get(job);
    const shape = shapeOf(job.request);
    if (run === undefined || shape === undefined || !this.speed.isBatchFaster) return [];
    let pictures = picturesOf(job);
    const taken = this.#order().filter((other) => {
      if (shapeOf(other.request) !== shape || pictures + picturesOf(other) > most) return false;
      pictures += picturesOf(other);
      return true;
    });
    for (const other of taken) {
      this.#leave(other);
      this.#start(other, run);
    }
    if (taken.length > 0) this.#reportPlaces();
    return taken;
  }

  /** Tells that jobs that ran together run no more, and have been reported. */
  finish(jobs: readonly Job[]): void {
    const run = this.#running.get(jobs[0]!);
    for (const job of jobs) this.#running.delete(job);
    if (run === undefined || !jobs.some(({ state }) => state.status === "done")) return;
    const calls = jobs.reduce((sum, { request }) => sum + this.#workOf(request).calls, 0);
    const isAlone = shapeOf(jobs[0]!.request) === undefined;
    const pictures = isAlone ? undefined : jobs.reduce((sum, job) => sum + picturesOf(job), 0);
    this.speed.measured(calls, (performance.now() - run.start) / 1000, pictures);
  }

  /** Seconds until a place is free for a client, if nobody else takes it. */
  secondsToPlace(client: string): number {
    if (this.placesFor(client) > 0) return 0;
    const own = this.#waiting.get(client) ?? [];
    // A place is free as soon as a job starts: any, or one of the client's if it has all it may have.
    const isOwnLimit = own.length >= this.limits.capacityPerClient;
    const next = isOwnLimit ? own[0] : this.#order()[0];
    return next === undefined ? 0 : this.secondsTo(next) - this.#secondsOf(next);
  }

  /** Seconds until a waiting job is through. */
  secondsTo(job: Job): number {
    const order = this.#order();
    const before = order.slice(0, order.indexOf(job) + 1);
    return this.#secondsRunning() + before.reduce((sum, other) => sum + this.#secondsOf(other), 0);
  }

  /** Seconds until all that waits and runs now is through. */
  secondsToEmpty(): number {
    const seconds = this.#order().reduce((sum, job) => sum + this.#secondsOf(job), 0);
    return this.#secondsRunning() + seconds;
  }

  /** Takes no more jobs, and gives those back that wait. Those that run go on. */
  close(): void {
    this.#closed = true;
    const jobs = this.#order();
    this.#waiting.clear();
    for (const job of jobs) job.report({ status: "failed", error: new QueueClosedError() });
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  /** @param run What it joins. Default: a new one. */
  #start(job: Job, run: Run = { start: performance.now(), jobs: new Set() }): void {
    run.jobs.add(job);
    this.#running.set(job, run);
    const { steps } = this.#workOf(job.request);
    job.report({ status: "running", step: 0, steps, preview: undefined });
  }

  /** Removes a job that was cancelled. One that runs gives its place back when its step ends. */
  #remove(job: Job): void {
    if (!this.#waiting.has(job.client)) return;
    this.#leave(job);
    this.#reportPlaces();
  }

  /** Takes a job out of those that wait. */
  #leave(job: Job): void {
    const jobs = (this.#waiting.get(job.client) ?? []).filter((other) => other !== job);
    if (jobs.length > 0) this.#waiting.set(job.client, jobs);
    else this.#waiting.delete(job.client);
  }

  /** Waiting jobs in the order in which they will be taken: in turn, one of each client. */
  #order(): Job[] {
    const lists = [...this.#waiting.values()];
    const rounds = Math.max(0, ...lists.map(({ length }) => length));
    const order: Job[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const jobs of lists) if (jobs[round]) order.push(jobs[round]!);
    }
    return order;
  }

  #reportPlaces(): void {
    this.#order().forEach((job, ahead) => {
      const { state } = job;
      if (state.status === "queued" && state.ahead === ahead) return;
      job.report({ status: "queued", ahead });
    });
  }

  #secondsRunning(): number {
    const runs = new Set(this.#running.values());
    return runs.values().reduce((sum, run) => sum + this.#secondsLeft(run), 0);
  }

  #secondsOf({ request }: Job): number {
    return this.speed.seconds(this.#workOf(request).calls) ?? FIRST_GUESS;
  }

  /** By its own speed so far, or else that of the jobs before. */
  #secondsLeft({ start, jobs }: Run): number {
    const elapsed = (performance.now() - start) / 1000;
    const states = Array.from(jobs, ({ state }) => state);
    const running = states.find((state) => state.status === "running");
    if (running === undefined) return 0;
    const { step, steps } = running;
    if (step > 0) return elapsed / step * (steps - step);
    const seconds = jobs.values().reduce((sum, job) => sum + this.#secondsOf(job), 0);
    return Math.max(0, seconds - elapsed);
  }

  #full(client: string, others: number): QueueFullError {
    const retryAfter = Math.max(1, Math.ceil(this.secondsToPlace(client)));
    const { capacity, capacityPerClient } = this.limits;
    const what = this.length + others >= capacity
      ? `${capacity} requests wait`
      : `${capacityPerClient} requests of yours wait`;
    const message = `${what}, which is as many as may; try again in ${retryAfter} s`;
    return new QueueFullError(retryAfter, message);
  }
}

function picturesOf({ request }: Job): number {
  return request.values.numImagesPerPrompt;
}
