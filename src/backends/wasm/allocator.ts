/**
 * Memory of the Wasm backend: one linear memory, shared by all threads, handed out in blocks.
 *
 * @module
 */

import type { MemoryUse } from "../backend.ts";
import { disposedError } from "../errors.ts";
import { type LinearMemory, PAGE_BYTES } from "./linear_memory.ts";

/** Blocks begin at multiples of a cache line. */
const ALIGNMENT = 64;
/** Vector loops may read a little past the end of an array, and some write there. */
const PADDING = 64;

/** Something in Wasm memory. */
export interface Addressed {
  /** First byte. */
  readonly address: number;
}

/** Stands where an operation can do without an array. */
export const NULL: Addressed = { address: 0 };

/** A range of bytes in use. */
export interface Block extends Addressed {
  /** Length in bytes, padding included. */
  readonly bytes: number;
}

/** Hands out blocks, first fit by address; neighbouring free ones are joined. */
export class Allocator {
  /** Undefined once closed. */
  #memory: Pick<LinearMemory, "byteLength" | "grow"> | undefined;
  readonly #free: { address: number; bytes: number }[] = [];
  #used = 0;
  #allocations = 0;

  /** Manages the memory from `start` on; it grows as needed. */
  constructor(memory: Pick<LinearMemory, "byteLength" | "grow">, start: number) {
    this.#memory = memory;
    const address = roundUp(start, ALIGNMENT);
    this.#free.push({ address, bytes: memory.byteLength - address });
  }

  /** Lets go of the memory. Blocks can be given back, but no more can be had. */
  close(): void {
    this.#memory = undefined;
    this.#free.length = 0;
  }

  /** Bytes and number of blocks in use. */
  get use(): MemoryUse {
    return { bytes: this.#used, allocations: this.#allocations };
  }

  /** Room that a block for `bytes` takes. */
  static room(bytes: number): number {
    return roundUp(bytes + PADDING, ALIGNMENT);
  }

  /**
   * Takes a block of at least `bytes`.
   *
   * @throws {RangeError} If the memory cannot grow so far.
   */
  allocate(bytes: number): Block {
    const room = Allocator.room(bytes);
    let index = this.#free.findIndex((range) => range.bytes >= room);
    if (index < 0) {
      this.#grow(room);
      index = this.#free.length - 1;
    }
    const range = this.#free[index]!;
    const block = { address: range.address, bytes: room };
    range.address += room;
    range.bytes -= room;
    if (range.bytes === 0) this.#free.splice(index, 1);
    this.#used += room;
    this.#allocations++;
    return block;
  }

  /** Gives a block back. */
  release(block: Block): void {
    this.#used -= block.bytes;
    this.#allocations--;
    let index = this.#free.findIndex((range) => range.address > block.address);
    if (index < 0) index = this.#free.length;
    this.#free.splice(index, 0, { ...block });
    this.#join(index);
    if (index > 0) this.#join(index - 1);
  }

  /** Joins a free range with the next one if they touch. */
  #join(index: number): void {
    const range = this.#free[index], next = this.#free[index + 1];
    if (!range || !next || range.address + range.bytes !== next.address) return;
    range.bytes += next.bytes;
    this.#free.splice(index + 1, 1);
  }

  /** Grows the memory so that the last free range has `room`. */
  #grow(room: number): void {
    if (this.#memory === undefined) throw disposedError("the backend");
    const end = this.#memory.byteLength;
    const last = this.#free.at(-1);
    const missing = last && last.address + last.bytes === end ? room - last.bytes : room;
    const bytes = roundUp(missing, PAGE_BYTES);
    try {
      this.#memory.grow(bytes / PAGE_BYTES);
    } catch {
      throw new RangeError(
        `Cannot allocate ${room} bytes: the Wasm memory holds ${end} and cannot grow by ${bytes}`,
      );
    }
    this.#free.push({ address: end, bytes });
    this.#join(this.#free.length - 2);
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
