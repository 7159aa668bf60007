/**
 * A job that is drawn elsewhere, followed from here.
 *
 * @module
 */

import { isOver, type Job, type Preview } from "../job.ts";
import { QueueClosedError, QueueFullError } from "../queue.ts";
import { type Exchange, type Figures, NoRoomError } from "./exchange.ts";
import { encodeJob, type JobMessage } from "./job_message.ts";
import { decodeState, type PictureForm } from "./job_state.ts";
import { pause } from "./steady.ts";

/** Milliseconds after which it is looked up whether a job is still on its way: signs of it may be lost. */
const LOOK_MS = 5000;

/** Times the seconds after which a job is given to another worker, for which it may be silent. */
const MOST_SILENT = 3;

/** Seconds after which to come again when the stream is full. */
const RETRY_SECONDS = 10;

/** A job that somebody here waits for. */
export class RemoteJob {
  /** The job as it is seen here. */
  readonly job: Job;
  readonly #exchange: Exchange;
  readonly #form: PictureForm;
  readonly #figures: () => Figures;
  /** When a worker was heard of, or could not be yet. */
  #heard = performance.now();
  #sequence: number | undefined;
  #wake = new AbortController();

  /**
   * Takes a job, which is followed by {@linkcode RemoteJob.follow}.
   *
   * @param figures What is known of the queue.
   */
  constructor(job: Job, exchange: Exchange, figures: () => Figures) {
    this.job = job;
    this.#figures = figures;
    this.#exchange = exchange;
    this.#form = { count: job.request.values.numImagesPerPrompt, side: exchange.side };
  }

  /** Number of its message; undefined as long as it has none. */
  get sequence(): number | undefined {
    return this.#sequence;
  }

  /** Queues the job, unless that was done or its pictures are there, and follows it to its end. */
  async follow(): Promise<void> {
    const { job } = this;
    try {
      const message = await encodeJob(job.request, this.#exchange.model);
      await this.#followMessage(message);
      const { state } = job;
      const isGivenBack = state.status === "failed" && state.error instanceof QueueClosedError;
      if (state.status === "cancelled" || isGivenBack) await this.#exchange.giveUp(message.id);
    } catch (error) {
      const full = error instanceof NoRoomError
        ? new QueueFullError(RETRY_SECONDS, error.message)
        : error;
      job.report({ status: "failed", error: full });
    }
  }

  /** Looks anew how far the job is, or that it is over. */
  wake(): void {
    this.#wake.abort();
  }

  async #followMessage(message: JobMessage): Promise<void> {
    const { job } = this;
    using _ = this.#exchange.want(message.id);
    const states = this.#exchange.watch(message.id);
    const reading = this.#readStates(states);
    const end = new AbortController();
    job.finished().then(() => {
      end.abort();
      this.wake();
    });
    try {
      while (!isOver(job.state)) {
        this.#wake = new AbortController();
        await this.#look(message, end.signal);
        if (!isOver(job.state)) await pause(LOOK_MS, this.#wake.signal);
      }
    } catch (error) {
      // Nobody waits any more.
      if (!end.signal.aborted) throw error;
    } finally {
      states.unsubscribe();
      await reading;
    }
  }

  /** Takes the result, if there is one, or else sees to it that the job is in the queue. */
  async #look({ id, bytes }: JobMessage, signal: AbortSignal): Promise<void> {
    const exchange = this.#exchange;
    // First: what is no more in the queue after this has left its result before.
    const waiting = await exchange.sequenceOf(id, signal);
    const images = await exchange.pictures(id, this.#form, signal);
    if (images !== undefined) return this.job.report({ status: "done", images });
    if (waiting === undefined && this.#sequence !== undefined) {
      const state = await exchange.state(id, this.#form, signal);
      if (state?.status === "failed" && state.sequence >= this.#sequence) {
        return this.job.report({ status: "failed", error: new Error(state.reason) });
      }
    }
    if (waiting !== undefined) {
      this.#sequence = waiting;
      if (!this.#isForgotten(waiting)) return;
      await exchange.remove(waiting, signal);
    }
    // If it has just been added by somebody else, the next look finds it.
    this.#sequence = await exchange.add(id, bytes, signal) ?? this.#sequence;
    this.#heard = performance.now();
  }

  /**
   * Whether no worker has the job or will get it, though it is there: a server that was killed may believe
   * that a worker was done with it.
   */
  #isForgotten(sequence: number): boolean {
    const { waiting, running, delivered, ackSeconds } = this.#figures();
    if (sequence > delivered) {
      this.#heard = performance.now();
      return false;
    }
    const silent = (performance.now() - this.#heard) / 1000;
    return waiting + running === 0 || silent > MOST_SILENT * ackSeconds;
  }

  async #readStates(states: ReturnType<Exchange["watch"]>): Promise<void> {
    // States bring previews only when they are new.
    let newest: Preview | undefined;
    for await (const { data } of states) {
      const state = await decodeState(data, this.#form);
      this.#heard = performance.now();
      if (state === undefined || state.sequence < (this.#sequence ?? 0)) continue;
      if (state.status === "running") {
        const { step, steps, preview = newest } = state;
        newest = preview;
        this.job.report({ status: "running", step, steps, preview });
      } else this.wake();
    }
  }
}
