// Workers for tests, in this process and in others.

import { type NatsWorkerOptions, runNatsWorker } from "../../../src/jobs/nats/nats_worker.ts";
import type { WorkRecord } from "../../../src/jobs/nats/nats_worker.ts";
import type { VQDiffusionPipeline } from "../../../src/pipeline/vq_diffusion_pipeline.ts";
import { queuedRequest } from "../../../src/server/queued_request.ts";
import { LIMITS } from "../../server/service.ts";
import { openExchange } from "./nats_server.ts";

/** Starts a worker. */
export async function startWorker(
  pipe: VQDiffusionPipeline,
  url: string,
  options: Partial<NatsWorkerOptions> = {},
) {
  const opened = await openExchange(url);
  const stop = new AbortController();
  const abandon = new AbortController();
  const records: WorkRecord[] = [];
  const ended = runNatsWorker(pipe, opened.exchange, {
    read: (fields) => queuedRequest(fields, pipe, LIMITS),
    signal: stop.signal,
    abandon: abandon.signal,
    log: (record) => records.push(record),
    ...options,
  });
  return {
    /** The queue as it sees it. */
    exchange: opened.exchange,
    /** What it has done. */
    records,
    outcomes: () => records.map(({ outcome }) => outcome),
    /** Lets it finish its job, and leave. */
    async stop() {
      stop.abort();
      await ended;
    },
    /** Lets it give back its job, and leave. */
    async abandon() {
      stop.abort();
      abandon.abort();
      await ended;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      abandon.abort();
      await ended;
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** A worker in a process of its own, which never comes further than the second step of a job. */
export function startStuckWorker(url: string) {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", new URL("stuck_worker.ts", import.meta.url).href, url],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    /** Waits until it is in the middle of a job. */
    async stuck() {
      await reader.read();
    },
    /** Kills it, as `kill -9` does. */
    async kill() {
      process.kill("SIGKILL");
      await process.status;
      await reader.cancel();
    },
  };
}
