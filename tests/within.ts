// A bound on the work of a task that only what hangs can miss.

import process from "node:process";
import { assert } from "@std/assert";

/** Seconds of processor time that a task may take, which by its size takes some hundredths of that. */
const LIMIT_SECONDS = 30;

/** Processor time of this process: unlike a clock it does not run while others compute. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Runs what once took minutes, or never ended, and would again if it grew with more than its input. */
export async function withinBounds<T>(what: string, task: () => T | Promise<T>): Promise<T> {
  const start = processorSeconds();
  const result = await task();
  const seconds = processorSeconds() - start;
  assert(seconds < LIMIT_SECONDS, `${what} took ${seconds.toFixed(1)} s of a processor`);
  return result;
}
