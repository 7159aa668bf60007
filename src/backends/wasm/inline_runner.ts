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

/** How far a job has come. */
interface Place {
  /** Commands that are done. */
  command: number;
  /** Chunks of the next one that are done. */
  chunk: number;
}

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
    const place = { command: 0, chunk: 0 };
    let ended: boolean | undefined;
    const advance = (): Promise<void> | undefined => {
      if (ended !== undefined) return undefined;
      this.#slice(job, place, signal);
      const done = place.command === job.count;
      if (done || signal?.aborted) ended = done;
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

  /** Runs commands until the slice is over, and moves `place` on. */
  #slice(job: Job, place: Place, signal?: AbortSignal): void {
    const { program, count, scratch } = job;
    const kernels = job.portable ? this.#portable : this.#kernels;
    const start = performance.now() - this.#worked;
    // How long a chunk takes is not known; of some commands there are thousands, and each is short.
    let chunks = 1;
    while (place.command < count) {
      if (this.#isOver() || signal?.aborted) return;
      const command = program + place.command * COMMAND_BYTES;
      const more = kernels.runChunks(command, this.#control, place.chunk, chunks, scratch);
      const worked = performance.now() - start;
      if (more) {
        place.chunk += chunks;
        if (worked - this.#worked < SLICE / 8) chunks *= 2;
      } else {
        place.command++;
        place.chunk = 0;
        chunks = 1;
        this.#commands++;
      }
      this.#worked = worked;
    }
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
