/**
 * Which jobs a client waits for: the web UI has one user, who asks for the progress of "the" picture; here
 * each client is told of its own.
 *
 * @module
 */

import type { Job, Preview } from "../../jobs/job.ts";
import type { WebUIRequest } from "./request.ts";

/** A job that a client waits for. */
export interface ClientJob {
  readonly job: Job;
  readonly request: WebUIRequest;
  /** Milliseconds since 1970 when it came. */
  readonly since: number;
  /** Whether the client has asked for what there is. */
  interrupted: boolean;
  /** What there was when it was interrupted. */
  preview: Preview | undefined;
}

/** The jobs that clients wait for. */
export class ClientJobs {
  readonly #jobs = new Map<string, Set<ClientJob>>();

  /** Takes a job, until it is over. */
  add(job: Job, request: WebUIRequest): ClientJob {
    const { client } = job;
    const entry = { job, request, since: Date.now(), interrupted: false, preview: undefined };
    const jobs = this.#jobs.get(client) ?? new Set();
    this.#jobs.set(client, jobs.add(entry));
    job.finished().then(() => {
      jobs.delete(entry);
      if (jobs.size === 0) this.#jobs.delete(client);
    });
    return entry;
  }

  /** The job that a client means: its first. */
  current(client: string): ClientJob | undefined {
    return this.#jobs.get(client)?.values().next().value;
  }

  /** Ends that job; its preview becomes the result. */
  interrupt(client: string): void {
    const entry = this.current(client);
    if (entry === undefined) return;
    const { state } = entry.job;
    entry.interrupted = true;
    entry.preview = state.status === "running" ? state.preview : undefined;
    entry.job.cancel();
  }
}
