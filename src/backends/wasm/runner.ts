/**
 * Who runs a program: the calling thread, or a pool of workers.
 *
 * @module
 */

import { nextTurn } from "../../base/event_loop.ts";

/** A program in Wasm memory and what it needs. */
export interface Job {
  /** Address of the first command. */
  readonly program: number;
  /** Number of commands. */
  readonly count: number;
  /** Address of the first thread's scratch memory. */
  readonly scratch: number;
  /** Bytes of scratch of each thread. */
  readonly scratchBytes: number;
  /** Whether to compute without fused multiply-add. */
  readonly portable: boolean;
}

/** A job that has begun. */
export interface Execution {
  /** Whether the job came to its end, once nothing of it runs any more. */
  readonly ended: boolean | undefined;
  /**
   * Does a part of the job, or waits for one. The job may be driven by any number of callers, none of
   * which waits for what another one began: in runtimes that end the work of a request when its client
   * leaves, each of them may stop at any time.
   *
   * @returns Undefined if the job has ended; else a promise to wait for before the next call.
   * @throws What the job failed of.
   */
  advance(): Promise<void> | undefined;
}

/** A part of what has to be done before a program runs. Returns whether there was anything to do. */
export type Preparation = () => boolean;

/** Milliseconds of preparing between two looks at the event loop. */
const SLICE = 12;

/**
 * A job before which something has to be done on the calling thread, in parts that let timers, events and
 * aborts through.
 *
 * @param parts What to do; a part that was done before does nothing, and returns false.
 * @param start Begins the job.
 */
export function afterPreparing(
  parts: readonly Preparation[],
  start: () => Execution,
  signal?: AbortSignal,
): Execution {
  let next = 0;
  let execution: Execution | undefined;
  return {
    get ended() {
      return execution?.ended;
    },
    advance() {
      const end = performance.now() + SLICE;
      while (next < parts.length && !signal?.aborted) {
        const worked = parts[next++]!();
        if (worked && performance.now() > end) return nextTurn();
      }
      execution ??= start();
      return execution.advance();
    },
  };
}

/** Runs programs, one at a time. */
export interface Runner {
  /** Number of threads that compute. */
  readonly threads: number;
  /** Begins a job, which goes to its end, or to the next command once the signal is aborted. */
  start(job: Job, signal?: AbortSignal): Execution;
  /** Ends the threads. */
  dispose(): void;
}

/**
 * Words of the control block: those of `Control` in `asm/threads.ts` that the host writes, then what the
 * workers are to do.
 */
export const ControlWord = {
  nextChunk: 0,
  arrived: 1,
  generation: 2,
  abort: 3,
  stopped: 4,
  quit: 5,
  /** Counts jobs; workers sleep on it. */
  job: 8,
  program: 10,
  count: 11,
  scratch: 12,
  scratchBytes: 13,
  /** Workers that have done the job. */
  done: 14,
  /** Whether to compute without fused multiply-add. */
  portable: 15,
} as const;

/** Bytes of the control block. */
export const CONTROL_BYTES = 64;
