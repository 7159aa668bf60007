// A bound on time that only what hangs can miss.

import { assert } from "@std/assert";

/** What a task may take, which by its size takes some hundredths of that. */
const LIMIT_SECONDS = 30;

/** Runs what once took minutes, or never ended, and would again if it grew with more than its input. */
export async function withinBounds<T>(what: string, task: () => T | Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await task();
  const seconds = (performance.now() - start) / 1000;
  assert(seconds < LIMIT_SECONDS, `${what} took ${seconds.toFixed(1)} s`);
  return result;
}
