/**
 * Memory of a frame: blocks for results, used again once their scope has closed.
 *
 * @module
 */

import { Allocator, type Block } from "./allocator.ts";
import type { WasmHost } from "./host.ts";

/** Hands out blocks, of which those given back serve later operations. */
export class FrameMemory {
  readonly #backend: WasmHost;
  readonly #blocks = new Set<Block>();
  /** Blocks that no living tensor uses. */
  readonly #spare: Block[] = [];

  /** Takes memory from `backend` as it is needed. */
  constructor(backend: WasmHost) {
    this.#backend = backend;
  }

  /** A block of its own, that serves nothing else before it is freed. */
  reserve(bytes: number): Block {
    const block = this.#backend.allocator.allocate(bytes);
    this.#blocks.add(block);
    return block;
  }

  /** The smallest spare block that is not much larger, or a new one. */
  take(bytes: number): Block {
    let best = -1;
    for (const [i, block] of this.#spare.entries()) {
      const fits = block.bytes >= Allocator.room(bytes) && block.bytes <= 2 * bytes + 4096;
      if (fits && (best < 0 || block.bytes < this.#spare[best]!.bytes)) best = i;
    }
    return best < 0 ? this.reserve(bytes) : this.#spare.splice(best, 1)[0]!;
  }

  /** Takes a block back for later operations, which run later too. */
  giveBack(block: Block): void {
    this.#spare.push(block);
  }

  /** Gives a block back to the backend, after the work submitted so far. */
  free(block: Block): void {
    if (this.#blocks.delete(block)) this.#backend.release(block);
  }

  /** Gives all memory back to the backend. */
  dispose(): void {
    for (const block of this.#blocks) this.free(block);
    this.#spare.length = 0;
  }
}
