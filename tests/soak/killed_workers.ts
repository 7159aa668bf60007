/**
 * Jobs on a queue whose workers and server are killed in the middle of their work.
 *
 * @module
 */

import { loadIdentified } from "../../src/cli/queue.ts";
import type { JobRequest, JobState } from "../../src/jobs/job.ts";
import { sideOf } from "../../src/pipeline/components.ts";
import { startTask } from "../cli/run_task.ts";
import { jobRequest } from "../jobs/jobs.ts";
import { hasNatsServer, openNatsQueue, startNatsServer } from "../jobs/nats/nats_server.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import type { TrialResult } from "./main.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url).pathname;

/** How the model is held, of all who take part. */
const MODEL = { model: TINY, device: "wasm", threads: 1 } as const;

const WORKERS = 3;

/** 200 jobs of 3 workers, of which one is killed about every two seconds, and the server every six. */
export async function killedWorkers(scale: number): Promise<TrialResult[]> {
  const trial = "Jobs while workers and the queue's server are killed";
  const count = Math.ceil(200 * scale);
  if (!hasNatsServer) return [{ trial, count: 0, found: "no nats-server", passed: true }];
  await using server = await startNatsServer();
  const stop = new AbortController();
  await using model = await ownModel(stop.signal);
  await using opened = await openNatsQueue(server.url, {
    model: model.identity,
    side: sideOf(model.pipe.components),
    capacity: count,
    capacityPerClient: count,
  });
  const requests = Array.from({ length: count }, (_, i) => requestOf(i));
  const all = Promise.all(requests.map((request) => opened.queue.add(request, "a").finished()));
  all.then(() => stop.abort());
  const kills = { workers: 0, servers: 0 };
  await Promise.all([
    killWorkers(server.url, stop.signal, kills),
    killServer(server, stop.signal, kills),
  ]);
  let [missing, wrong] = [0, 0];
  const reasons = new Set<string>();
  for (const [i, state] of (await all).entries()) {
    if (state.status === "failed") reasons.add(String(state.error));
    if (state.status !== "done") missing++;
    else if (!await isRight(model.pipe, requests[i]!, state)) wrong++;
  }
  const found =
    `${missing} missing, ${wrong} wrong; ${kills.workers} workers and ${kills.servers} servers killed${
      [...reasons].map((reason) => `; ${reason}`).join("")
    }`;
  return [{ trial, count, found, passed: missing + wrong === 0 }];
}

async function ownModel(signal: AbortSignal) {
  const { pipe, identity } = await loadIdentified(
    { ...MODEL, revision: undefined, dtype: undefined },
    signal,
  );
  return { pipe, identity, [Symbol.asyncDispose]: () => pipe.dispose() };
}

function requestOf(seed: number): JobRequest {
  const request = jobRequest(100);
  return { ...request, values: { ...request.values, seed: BigInt(seed) } };
}

async function isRight(
  pipe: Awaited<ReturnType<typeof ownModel>>["pipe"],
  { prompt, values }: JobRequest,
  state: JobState & { readonly status: "done" },
): Promise<boolean> {
  const { images: [expected] } = await pipe.generate(prompt, values);
  const [image, ...others] = state.images;
  return others.length === 0 && image!.data.every((byte, i) => byte === expected!.data[i]);
}

/** Keeps workers running, and kills the oldest again and again. */
async function killWorkers(url: string, signal: AbortSignal, kills: { workers: number }) {
  await using folder = await temporaryFolder();
  const start = async () => {
    const args = ["--queue", url, "--model", TINY, "--device", "wasm", "--threads", "1"];
    const child = await startTask("worker", [...args, "--ack-wait", "2"], { cwd: folder.path });
    child.stdout.cancel();
    child.stderr.cancel();
    return child;
  };
  const kill = async (child: Deno.ChildProcess) => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself, as it found no server.
    }
    await child.status;
  };
  const workers = await Promise.all(Array.from({ length: WORKERS }, start));
  while (!signal.aborted) {
    await pause(4000 * Math.random());
    if (signal.aborted) break;
    await kill(workers.shift()!);
    kills.workers++;
    workers.push(await start());
  }
  await Promise.all(workers.map(kill));
}

async function killServer(
  server: Awaited<ReturnType<typeof startNatsServer>>,
  signal: AbortSignal,
  kills: { servers: number },
): Promise<void> {
  while (!signal.aborted) {
    await pause(12_000 * Math.random());
    if (signal.aborted) return;
    await server.kill();
    kills.servers++;
    await pause(1000 * Math.random());
    await server.restart();
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
