/**
 * Runs programs on the calling thread, where workers or shared memory cannot be had.
 *
 * @module
 */

import { COMMAND_BYTES } from "../../../wasm/commands.ts";
import { nextTurn } from "../../base/event_loop.ts";
import type { Kernels } from "./kernels.ts";
import type { Execution, Job, Runner } from "./runner.ts";

/** Milliseconds of work between two looks at the event loop. */
const SLICE = 12;
/** Commands between two looks where the clock stands still during work, as at Cloudflare. */
const SLICE_COMMANDS = 100;

/** Runs programs on the calling thread, in slices that let timers, events and aborts through. */
export class InlineRunner implements Runner {
  readonly threads = 1;
  readonly #kernels: Kernels;
  readonly #portable: Kernels;
  readonly #control: number;
  /** Milliseconds of work since the event loop last turned, also that of earlier jobs. */
  #worked = 0;
  /** Commands since then. */
  #commands = 0;

  /**
   * @param portable Kernels for programs that are computed without fused multiply-add.
   * @param control Address of the control block, all zeros.
   */
  constructor(kernels: Kernels, portable: Kernels, control: number) {
    this.#kernels = kernels;
    this.#portable = portable;
    this.#control = control;
  }

  start(job: Job, signal?: AbortSignal): Execution {
    let done = 0;
    let ended: boolean | undefined;
    const advance = (): Promise<void> | undefined => {
      if (ended !== undefined) return undefined;
      done = this.#slice(job, done, signal);
      if (done === job.count || signal?.aborted) ended = done === job.count;
      return ended === undefined ? this.#rest() : undefined;
    };
    return {
      get ended() {
        return ended;
      },
      advance,
    };
  }

  dispose(): void {}

  /** Runs commands from `first` on until the slice is over; the number of the next one. */
  #slice(job: Job, first: number, signal?: AbortSignal): number {
    const { program, count, scratch } = job;
    const kernels = job.portable ? this.#portable : this.#kernels;
    const start = performance.now() - this.#worked;
    for (let i = first; i < count; i++) {
      if (this.#isOver() || signal?.aborted) return i;
      kernels.run(program + i * COMMAND_BYTES, 1, this.#control, 1, scratch);
      this.#commands++;
      this.#worked = performance.now() - start;
    }
    return count;
  }

  #isOver(): boolean {
    return this.#worked > SLICE || (this.#worked === 0 && this.#commands >= SLICE_COMMANDS);
  }

  async #rest(): Promise<void> {
    await nextTurn();
    this.#worked = 0;
    this.#commands = 0;
  }
}
