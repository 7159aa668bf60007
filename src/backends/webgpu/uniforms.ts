/**
 * Parameters of many dispatches in a few uniform buffers.
 *
 * @module
 */

import type { Device } from "./device.ts";
import { BUFFER_USAGE } from "./flags.ts";
import type { Kernel } from "./kernels/kernel.ts";
import type { BufferSlice } from "./tensor.ts";

const CHUNK_BYTES = 64 * 1024;

interface Chunk {
  readonly buffer: GPUBuffer;
  readonly data: DataView<ArrayBuffer>;
  used: number;
  written: number;
}

/** Gathers parameters on the host until {@linkcode Uniforms.flush} writes them to the device. */
export class Uniforms {
  readonly #device: Device;
  readonly #chunks: Chunk[] = [];

  /** Takes memory from `device` as it is needed. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** Adds the parameters of one dispatch. */
  add(kernel: Kernel, values: Readonly<Record<string, number>>): BufferSlice {
    const fields = Object.entries(kernel.params);
    const alignment = this.#device.gpu.limits.minUniformBufferOffsetAlignment;
    const bytes = Math.ceil(fields.length / 4) * 16;
    const chunk = this.#chunkFor(bytes);
    const offset = chunk.used;
    fields.forEach(([name, type], i) => {
      const value = values[name];
      if (value === undefined) throw new TypeError(`Kernel ${kernel.name} needs "${name}"`);
      if (type === "f32") chunk.data.setFloat32(offset + 4 * i, value, true);
      else chunk.data.setInt32(offset + 4 * i, value, true);
    });
    chunk.used = Math.ceil((offset + bytes) / alignment) * alignment;
    return { buffer: chunk.buffer, offset, bytes };
  }

  /** Writes what was added since the last call. */
  flush(): void {
    for (const chunk of this.#chunks) {
      if (chunk.written === chunk.used) continue;
      const bytes = new Uint8Array(chunk.data.buffer, chunk.written, chunk.used - chunk.written);
      this.#device.write(chunk.buffer, chunk.written, bytes);
      chunk.written = chunk.used;
    }
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#chunks.splice(0).forEach(({ buffer }) => this.#device.free(buffer));
  }

  #chunkFor(bytes: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.used + bytes <= CHUNK_BYTES) return last;
    const usage = BUFFER_USAGE.uniform | BUFFER_USAGE.copyDestination;
    const chunk: Chunk = {
      buffer: this.#device.allocate(CHUNK_BYTES, usage, "parameters"),
      data: new DataView(new ArrayBuffer(CHUNK_BYTES)),
      used: 0,
      written: 0,
    };
    this.#chunks.push(chunk);
    return chunk;
  }
}
