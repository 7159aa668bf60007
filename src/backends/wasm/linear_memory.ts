/**
 * The linear memory of the kernels, as the backend on the calling thread uses it.
 *
 * @module
 */

import type { DataOf, DType } from "../backend.ts";

/** Bytes of a page, by which memory grows. */
export const PAGE_BYTES = 65536;

/** Memory that grows and never shrinks. */
export interface LinearMemory {
  /** Bytes that it has now. */
  readonly byteLength: number;
  /** Bytes that it can have at most. */
  readonly limit: number;
  /**
   * Whether nothing that is written stays. Then only the sizes of arrays count, which may come without
   * their elements.
   */
  readonly hollow: boolean;
  /**
   * Adds pages.
   *
   * @throws {RangeError} If it cannot grow so far.
   */
  grow(pages: number): void;
  /** Copies elements from an address on. */
  read<D extends DType>(dtype: D, address: number, count: number): DataOf<D>;
  /** Copies the bytes of an array to an address. */
  write(address: number, values: ArrayBufferView): void;
  /** Sets bytes from an address on to zero. */
  clear(address: number, bytes: number): void;
}

/** The memory that the instances of the kernels share. */
export class KernelMemory implements LinearMemory {
  readonly hollow = false;
  #memory: WebAssembly.Memory;

  /**
   * Wraps a memory.
   *
   * @param memory What the instances import.
   * @param limit Bytes that it can have at most.
   */
  constructor(memory: WebAssembly.Memory, readonly limit: number) {
    this.#memory = memory;
  }

  /** What the instances import. */
  get memory(): WebAssembly.Memory {
    return this.#memory;
  }

  /**
   * Puts another memory in the place of this one, with all that it holds.
   *
   * @throws {RangeError} If the other cannot grow so far.
   */
  moveTo(memory: WebAssembly.Memory): void {
    const missing = this.byteLength - memory.buffer.byteLength;
    if (missing > 0) memory.grow(missing / PAGE_BYTES);
    new Uint8Array(memory.buffer).set(new Uint8Array(this.#memory.buffer));
    this.#memory = memory;
  }

  get byteLength(): number {
    return this.memory.buffer.byteLength;
  }

  grow(pages: number): void {
    this.memory.grow(pages);
  }

  read<D extends DType>(dtype: D, address: number, count: number): DataOf<D> {
    const { buffer } = this.memory;
    const elements = dtype === "f32"
      ? new Float32Array(buffer, address, count)
      : new Int32Array(buffer, address, count);
    return elements.slice() as DataOf<D>;
  }

  write(address: number, values: ArrayBufferView): void {
    const { buffer, byteOffset, byteLength } = values;
    this.#bytes(address, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
  }

  clear(address: number, bytes: number): void {
    this.#bytes(address, bytes).fill(0);
  }

  #bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, count);
  }
}
