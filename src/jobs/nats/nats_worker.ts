/**
 * A worker: draws the jobs of a queue on a NATS server, one after the other.
 *
 * @module
 */

import type { JsMsg } from "npm:@nats-io/jetstream@3.4.0";
import type { VQDiffusionPipeline } from "../../pipeline/vq_diffusion_pipeline.ts";
import { isOver, Job, type JobRequest, type JobState } from "../job.ts";
import { workOf } from "../speed.ts";
import { draw } from "../worker.ts";
import { type Exchange, NoRoomError } from "./exchange.ts";
import { decodeJob, jobId, type ReadFields } from "./job_message.ts";
import type { RemoteState } from "./job_state.ts";

/** Milliseconds between two states of a job, unless there is a new preview. */
const REPORT_MS = 250;

/**
 * Workers that may end while they draw a job; then it is taken to be its fault. So many that it is hardly
 * chance, though a server that ends counts, too.
 */
const MOST_DELIVERIES = 10;

/** Signs of life within the time after which a job is given to another worker. */
const SIGNS = 4;

/** What a worker did with a job. */
export interface WorkRecord {
  /** The job. */
  readonly id: string;
  /** `"stored"`: its pictures were there already; `"returned"`: others may draw it. */
  readonly outcome: "done" | "stored" | "failed" | "cancelled" | "returned";
  /** Seconds that it took. */
  readonly seconds: number;
  /** Why it failed. */
  readonly reason?: string | undefined;
}

/** Options of {@linkcode runNatsWorker}. */
export interface NatsWorkerOptions {
  /** Checks the values of a job. */
  readonly read: ReadFields;
  /** Ends the work when the job that runs is done. */
  readonly signal: AbortSignal;
  /** Gives back the job that runs, at once. Default: never. */
  readonly abandon?: AbortSignal | undefined;
  /** Takes what was done. */
  readonly log?: ((record: WorkRecord) => void) | undefined;
}

/**
 * Draws jobs until the signal is aborted. A job leaves the queue when its pictures are stored; what goes
 * wrong is the state of its job.
 */
export async function runNatsWorker(
  pipe: VQDiffusionPipeline,
  exchange: Exchange,
  options: NatsWorkerOptions,
): Promise<void> {
  const { signal } = options;
  while (!signal.aborted) {
    let message: JsMsg | undefined;
    try {
      message = await exchange.take(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (message === undefined) continue;
    // It came when nobody waited for it any more.
    if (signal.aborted) message.nak();
    else await new Work(pipe, exchange, message, options).run();
  }
  await exchange.flush();
}

/** The work on one job. */
class Work {
  readonly #pipe: VQDiffusionPipeline;
  readonly #exchange: Exchange;
  readonly #message: JsMsg;
  readonly #options: NatsWorkerOptions;
  readonly #id: string;
  readonly #start = performance.now();

  constructor(
    pipe: VQDiffusionPipeline,
    exchange: Exchange,
    message: JsMsg,
    options: NatsWorkerOptions,
  ) {
    this.#pipe = pipe;
    this.#exchange = exchange;
    this.#message = message;
    this.#options = options;
    this.#id = exchange.idOf(message);
  }

  async run(): Promise<void> {
    const message = this.#message;
    const alive = setInterval(() => message.working(), this.#exchange.ackSeconds * 1000 / SIGNS);
    try {
      await this.#run().catch((error) => this.#fail(error));
    } catch (error) {
      if (!this.#options.abandon?.aborted) throw error;
      this.#giveBack();
    } finally {
      clearInterval(alive);
    }
  }

  async #run(): Promise<void> {
    const { deliveryCount } = this.#message.info;
    if (deliveryCount > MOST_DELIVERIES) {
      throw new Error(`${MOST_DELIVERIES} workers have ended while they drew this job`);
    }
    const request = await this.#request();
    const form = { count: request.values.numImagesPerPrompt, side: this.#exchange.side };
    const { abandon } = this.#options;
    if (await this.#exchange.pictures(this.#id, form, abandon) !== undefined) {
      await this.#finish();
      return this.#log("stored");
    }
    const state = await this.#draw(request);
    switch (state.status) {
      case "done":
        await this.#exchange.setPictures(this.#id, state.images, abandon);
        await this.#finish();
        return this.#log("done");
      case "failed":
        throw state.error;
      default:
        if (abandon?.aborted) return this.#giveBack();
        this.#message.term();
        return this.#log("cancelled");
    }
  }

  /** What to draw, which must be what the job's id is the hash of. */
  async #request(): Promise<JobRequest> {
    const { model, side } = this.#exchange;
    const request = await decodeJob(this.#message.data, this.#options.read, side);
    if (await jobId(request, model) === this.#id) return request;
    throw new Error("Cannot draw a job of the queue: its id is none of what it asks for");
  }

  async #draw(request: JobRequest): Promise<JobState> {
    const job = new Job(request, "queue", () => {});
    const cancel = () => job.cancel();
    const { abandon } = this.#options;
    abandon?.addEventListener("abort", cancel);
    using _ = this.#exchange.onGivenUp(this.#id, cancel);
    const { steps } = workOf(this.#pipe, request);
    job.report({ status: "running", step: 0, steps, preview: undefined });
    const reporting = this.#report(job);
    if (abandon?.aborted) cancel();
    await draw(this.#pipe, [job]);
    abandon?.removeEventListener("abort", cancel);
    await reporting;
    return job.state;
  }

  /** Tells how far a job is: the newest state, when the one before has been told. */
  async #report(job: Job): Promise<void> {
    const sequence = this.#message.seq;
    let last = -Infinity;
    let shown: unknown;
    for await (const state of job.states()) {
      if (state.status !== "running") continue;
      const isNew = state.preview !== shown;
      if (!isNew && performance.now() - last < REPORT_MS) continue;
      shown = state.preview;
      last = performance.now();
      // It is for people to look at: one that is lost is followed by others.
      const told = { ...state, preview: isNew ? state.preview : undefined, sequence };
      await this.#exchange.setState(this.#id, told, { once: true }).catch(() => {});
      if (isOver(job.state)) return;
    }
  }

  /** Lets others draw the job. */
  #giveBack(): void {
    this.#message.nak();
    this.#log("returned");
  }

  /** Lets the job leave the queue, as its pictures are stored. */
  async #finish(): Promise<void> {
    await this.#tell({ status: "done", sequence: this.#message.seq });
    this.#message.ack();
  }

  async #fail(error: unknown): Promise<void> {
    const reason = error instanceof Error ? error.message : String(error);
    const sequence = this.#message.seq;
    await this.#tell({ status: "failed", sequence, reason });
    this.#message.term();
    this.#log("failed", reason);
  }

  /** Tells how the job has ended. Where there is no room for that, who waits finds its pictures, or adds it again. */
  async #tell(state: RemoteState): Promise<void> {
    try {
      await this.#exchange.setState(this.#id, state, { signal: this.#options.abandon });
    } catch (error) {
      if (!(error instanceof NoRoomError)) throw error;
    }
  }

  #log(outcome: WorkRecord["outcome"], reason?: string): void {
    const seconds = (performance.now() - this.#start) / 1000;
    this.#options.log?.({ id: this.#id, outcome, seconds, reason });
  }
}
