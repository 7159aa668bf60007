/**
 * Runs programs on the calling thread, where workers or shared memory cannot be had.
 *
 * @module
 */

import { COMMAND_BYTES } from "../../../wasm/commands.ts";
import type { Kernels } from "./kernels.ts";
import type { Job, Runner } from "./runner.ts";

/** Milliseconds of work between two looks at the event loop. */
const SLICE = 12;

/** Runs programs on the calling thread, in slices that let timers, events and aborts through. */
export class InlineRunner implements Runner {
  readonly threads = 1;
  readonly #kernels: Kernels;
  readonly #control: number;

  /** @param control Address of the control block, all zeros. */
  constructor(kernels: Kernels, control: number) {
    this.#kernels = kernels;
    this.#control = control;
  }

  async run({ program, count, scratch }: Job, signal?: AbortSignal): Promise<boolean> {
    let sliceEnd = performance.now() + SLICE;
    for (let i = 0; i < count; i++) {
      if (performance.now() > sliceEnd) {
        await nextTask();
        sliceEnd = performance.now() + SLICE;
      }
      if (signal?.aborted) return false;
      this.#kernels.run(program + i * COMMAND_BYTES, 1, this.#control, 1, scratch);
    }
    return true;
  }

  dispose(): void {}
}

/** Lets the event loop turn once, without the delay that browsers put on timers. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
