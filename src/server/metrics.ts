/**
 * Figures for monitoring, in the text format of Prometheus (version 0.0.4).
 *
 * @module
 */

import type { JobState } from "../jobs/job.ts";
import type { ServedQueue } from "../jobs/served_queue.ts";

/** What labels say. */
type Labels = Readonly<Record<string, string | number>>;

/** A figure that only grows, by its labels. */
class Counter {
  readonly #values = new Map<string, number>();

  add(labels: Labels, by = 1): void {
    const key = Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(",");
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  lines(name: string): string[] {
    return Array.from(this.#values, ([key, value]) => `${name}${key && `{${key}}`} ${value}`);
  }
}

/** Methods that are told apart. */
const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "OPTIONS",
  "PUT",
  "DELETE",
  "PATCH",
]);

/** A method as figures and the log name it: clients may make up any number of others. */
export function methodName(method: string): string {
  return METHODS.has(method) ? method : "other";
}

/** Counts requests, jobs and pictures. */
export class Metrics {
  readonly #requests = new Counter();
  readonly #jobs = new Counter();
  readonly #images = new Counter();
  readonly #seconds = new Counter();

  /**
   * Counts an answered request.
   *
   * @param method As {@linkcode methodName} has it.
   * @param route The path of a route, not that of the request: of these there may be any number.
   */
  countRequest(method: string, route: string, status: number): void {
    this.#requests.add({ method, route, status });
  }

  /** Counts a job that is over, and the seconds from its request on. */
  countJob(state: JobState, seconds: number): void {
    this.#jobs.add({ outcome: state.status });
    if (state.status !== "done") return;
    this.#images.add({}, state.images.length);
    this.#seconds.add({}, seconds);
  }

  /** All figures. */
  text(queue: ServedQueue): string {
    const metric = (name: string, type: string, help: string, lines: readonly string[]) => [
      `# HELP vq_diffusion_${name} ${help}`,
      `# TYPE vq_diffusion_${name} ${type}`,
      ...lines,
    ];
    const counter = (name: string, help: string, values: Counter) =>
      metric(name, "counter", help, values.lines(`vq_diffusion_${name}`));
    const gauge = (name: string, help: string, value: number) =>
      metric(name, "gauge", help, [`vq_diffusion_${name} ${value}`]);
    return [
      ...counter("requests_total", "Answered requests.", this.#requests),
      ...counter("jobs_total", "Jobs that are over.", this.#jobs),
      ...counter("images_total", "Pictures drawn.", this.#images),
      ...counter("job_seconds_total", "Seconds of jobs from request to result.", this.#seconds),
      ...gauge("queue_length", "Jobs that wait.", queue.length),
      ...gauge("queue_capacity", "Jobs that may wait.", queue.limits.capacity),
      ...gauge("jobs_running", "Jobs that run.", queue.running),
      ...gauge("queue_seconds", "Seconds until the queue is empty.", queue.secondsToEmpty()),
      "",
    ].join("\n");
  }
}
