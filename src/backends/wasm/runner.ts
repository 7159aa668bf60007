/**
 * Who runs a program: the calling thread, or a pool of workers.
 *
 * @module
 */

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
}

/** Runs programs, one at a time. */
export interface Runner {
  /** Number of threads that compute. */
  readonly threads: number;
  /**
   * Runs a job to its end, or to the next command once the signal is aborted.
   *
   * @returns Whether it came to its end.
   */
  run(job: Job, signal?: AbortSignal): Promise<boolean>;
  /** Ends the threads. */
  dispose(): void;
}

/**
 * Words of the control block: those of `Control` in `asm/threads.ts`, then what the workers are to do.
 */
export const ControlWord = {
  nextChunk: 0,
  arrived: 1,
  generation: 2,
  abort: 3,
  stopped: 4,
  /** Counts jobs; workers sleep on it. */
  job: 8,
  quit: 9,
  program: 10,
  count: 11,
  scratch: 12,
  scratchBytes: 13,
  /** Workers that have done the job. */
  done: 14,
  /** Workers that have ended as they were told. */
  left: 15,
} as const;

/** Bytes of the control block. */
export const CONTROL_BYTES = 64;
