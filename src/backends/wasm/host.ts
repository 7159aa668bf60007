/**
 * What tensors, weights and frames need of the backend that they lie in.
 *
 * @module
 */

import type { Backend, DataOf, DType } from "../backend.ts";
import type { Allocator, Block } from "./allocator.ts";
import type { Kernels } from "./kernels.ts";
import type { Job } from "./runner.ts";

/** The Wasm backend, as what lies in its memory sees it. */
export interface WasmHost extends Backend {
  /** An instance of the kernels on the calling thread. */
  readonly kernels: Kernels;
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
  /** The elements at an address; valid until the memory grows. */
  view<D extends DType>(dtype: D, address: number, count: number): DataOf<D>;
  /** The bytes at an address; valid until the memory grows. */
  bytes(address: number, count: number): Uint8Array;
  /** Runs a program after all that was submitted before; false if it was aborted. */
  run(
    job: Pick<Job, "program" | "count" | "scratchBytes">,
    signal?: AbortSignal,
  ): Promise<boolean>;
}
