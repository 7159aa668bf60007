/**
 * Threads that end while they compute: the backend goes on, and nothing of them stays.
 *
 * @module
 */

import { evaluate } from "../../src/backends/evaluate.ts";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { watchThreads } from "../backends/watched_threads.ts";
import { memoryNow } from "./memory.ts";
import { runChild } from "./child.ts";
import type { TrialResult } from "./main.ts";

const THREADS = 3;
/** Rounds after which the memory of the process has found its size. */
const WARM_UP = 10;
/** MiB that a process may be larger by: a thread with its memory takes more than this each time. */
const TOLERANCE = 64;

/** What a process found. */
interface Found {
  readonly failed: number;
  readonly wrong: number;
  /** Threads of the system beyond those at first, and MiB beyond those after the warming up. */
  readonly threads: number;
  readonly mebibytes: number;
}

/** A product that takes some hundredths of a second. */
async function multiply(backend: WasmBackend): Promise<number> {
  const size = 768;
  const data = new Float32Array(size * size).fill(1);
  using weight = backend.linearWeight([{ dtype: "f32", shape: [size, size], data }], []);
  using x = backend.tensor(data, [size, size]);
  using y = evaluate(backend, (frame) => {
    let result = frame.linear(x, weight);
    for (let i = 0; i < 3; i++) result = frame.linear(x, weight);
    return frame.keep(result);
  });
  return (await y.data())[0]! / size;
}

/** Threads of this process, where the system tells. */
function threadsNow(): number {
  if (Deno.build.os !== "linux") return 0;
  return Number(/^Threads:\s*(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
}

async function endThreads(count: number): Promise<Found> {
  using watch = watchThreads();
  await using backend = await createWasmBackend({ threads: THREADS });
  let [failed, wrong, threads, mebibytes] = [0, 0, 0, 0];
  for (let i = 0; i < count + WARM_UP; i++) {
    const running = multiply(backend).catch(() => NaN);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    await watch.started.splice(0).at(-1 - i % THREADS)!.terminate();
    watch.memories.length = 0;
    if (Number.isNaN(await running) && i >= WARM_UP) failed++;
    if (await multiply(backend) !== 1) wrong++;
    if (i === WARM_UP - 1) [threads, mebibytes] = [threadsNow(), await memoryNow()];
  }
  const more = await memoryNow() - mebibytes;
  return { failed, wrong, threads: threadsNow() - threads, mebibytes: more };
}

/** 100 threads that end at any time: wrong results after, and what stays. */
export async function endedThreads(scale: number): Promise<TrialResult[]> {
  const count = Math.ceil(100 * scale);
  const { failed, wrong, threads, mebibytes } = await runChild<Found>(import.meta, String(count));
  const found = `${failed} runs failed, ${wrong} wrong results after, ${threads} threads and ` +
    `${mebibytes.toFixed(0)} MiB more`;
  const passed = wrong === 0 && threads <= THREADS && mebibytes <= TOLERANCE;
  return [{ trial: "ends of threads", count, found, passed }];
}

if (import.meta.main) console.log(JSON.stringify(await endThreads(Number(Deno.args[0]))));
