/**
 * Memory of a frame: buffers for results, used again once their scope has closed.
 *
 * @module
 */

import type { Device } from "./device.ts";
import { STORAGE_USAGE } from "./tensor.ts";

/** Hands out buffers, of which those given back serve later operations. */
export class FrameMemory {
  readonly #device: Device;
  readonly #buffers: GPUBuffer[] = [];
  readonly #free: GPUBuffer[] = [];

  /** Takes memory from `device` as it is needed. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** A buffer of its own, that never serves anything else. */
  reserve(bytes: number, operation: string): GPUBuffer {
    const buffer = this.#device.allocate(bytes, STORAGE_USAGE, operation);
    this.#buffers.push(buffer);
    return buffer;
  }

  /** The smallest free buffer that is large enough and not much larger, or a new one. */
  take(bytes: number, operation: string): GPUBuffer {
    const fits = this.#free.filter(({ size }) => size >= bytes && size <= 2 * bytes + 4096);
    if (fits.length === 0) return this.reserve(bytes, operation);
    const best = fits.reduce((a, b) => b.size < a.size ? b : a);
    this.#free.splice(this.#free.indexOf(best), 1);
    return best;
  }

  /** Takes a buffer back for later operations, which run later too. */
  giveBack(buffer: GPUBuffer): void {
    this.#free.push(buffer);
  }

  /** Gives all memory back to the device. */
  dispose(): void {
    this.#buffers.splice(0).forEach((buffer) => this.#device.free(buffer));
    this.#free.length = 0;
  }
}
