/**
 * What tensors, weights and frames need of the backend that they lie in.
 *
 * @module
 */

import type { Backend } from "../backend.ts";
import type { Allocator, Block } from "./allocator.ts";
import type { HostKernels } from "./kernels.ts";
import type { LinearMemory } from "./linear_memory.ts";
import type { Job, Preparation } from "./runner.ts";

/** The Wasm backend, as what lies in its memory sees it. */
export interface WasmHost extends Backend {
  /** The kernels on the calling thread. */
  readonly kernels: HostKernels;
  /** The memory. */
  readonly memory: LinearMemory;
  /** Hands out the memory. */
  readonly allocator: Allocator;
  /** Whether nothing is submitted that has not ended. */
  readonly idle: boolean;
  /** Calls `work` after all that was submitted before, at once if that is nothing. */
  call<T>(work: () => T): Promise<T>;
  /** Like {@linkcode WasmHost.call}, for work that nobody waits for; if it fails, later runs do. */
  defer(work: () => void): void;
  /** Gives a block back once nothing submitted can use it any more. */
  release(block: Block): void;
  /** Bytes of scratch memory that each thread needs for a command. */
  scratchBytes(command: Uint8Array): number;
  /**
   * Runs a program after all that was submitted before; false if it was aborted.
   *
   * @param preparations What has to be done before, in parts.
   */
  run(
    job: Omit<Job, "scratch">,
    preparations: readonly Preparation[],
    signal?: AbortSignal,
  ): Promise<boolean>;
}
