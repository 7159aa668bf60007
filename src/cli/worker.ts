/**
 * The command `worker`: draws what services on other machines are asked for.
 *
 * @module
 */

import type { WorkRecord } from "../jobs/nats/nats_worker.ts";
import { queuedRequest } from "../server/queued_request.ts";
import { quietDisplayServer } from "./environment.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { loadIdentified, openQueue } from "./queue.ts";
import { print, printRecord } from "./terminal.ts";
import { readWorkerArguments, WORKER_HELP } from "./worker_arguments.ts";

/**
 * Runs the command, until it is interrupted.
 *
 * @returns The exit code.
 * @throws {UsageError} If an argument is wrong.
 */
export async function worker(args: string[]): Promise<number> {
  const given = readWorkerArguments(args);
  if (!given) {
    print(WORKER_HELP);
    return 0;
  }
  const abandon = new AbortController();
  const ended = Promise.withResolvers<void>();
  using interrupt = abortOnInterrupt(async () => {
    print("Giving back the job");
    abandon.abort();
    await ended.promise;
  });
  quietDisplayServer();
  try {
    const model = await loadIdentified(given, interrupt.signal);
    await using pipe = model.pipe;
    const { keepSeconds, ackSeconds } = given;
    const options = { name: "vq-diffusion worker", keepSeconds, ackSeconds };
    await using queue = await openQueue(given, model, options);
    const { runNatsWorker } = await import("../jobs/nats/nats_worker.ts");
    print(`Drawing on ${pipe.device.name} (${pipe.device.reason})`);
    interrupt.signal.addEventListener("abort", () => print("Stopping when the job is done"));
    await runNatsWorker(pipe, queue.exchange, {
      read: (fields) => queuedRequest(fields, pipe, given),
      signal: interrupt.signal,
      abandon: abandon.signal,
      log: (record) => log(record, given.quiet),
    });
  } finally {
    ended.resolve();
  }
  return 0;
}

function log(record: WorkRecord, quiet: boolean): void {
  const level = record.outcome === "failed" ? "error" : "info";
  if (!quiet || level === "error") printRecord({ level, event: "job", ...record });
}
