/**
 * Tensors in Wasm memory.
 *
 * @module
 */

import type { DataOf, DType, Tensor } from "../backend.ts";
import { elements, shapeText } from "../shapes.ts";
import type { Block } from "./allocator.ts";
import type { WasmBackend } from "./wasm_backend.ts";

/** An array in Wasm memory. */
export class WasmTensor<D extends DType = "f32"> implements Tensor<D> {
  readonly backend: WasmBackend;
  readonly shape: readonly number[];
  readonly dtype: D;
  readonly #block: Block;
  readonly #release: (block: Block) => void;
  readonly #failure: () => unknown;
  #disposed = false;

  /**
   * @param release Takes the block back when the tensor is disposed of.
   * @param failure Why the last run of the frame that computes it failed, if it did.
   */
  constructor(
    backend: WasmBackend,
    shape: readonly number[],
    dtype: D,
    block: Block,
    release: (block: Block) => void,
    failure: () => unknown = () => undefined,
  ) {
    this.backend = backend;
    this.shape = [...shape];
    this.dtype = dtype;
    this.#block = block;
    this.#release = release;
    this.#failure = failure;
  }

  /** Address of the first element. */
  get address(): number {
    if (this.#disposed) {
      throw new ReferenceError(
        `Cannot use a tensor of shape ${shapeText(this.shape)}: it was disposed of`,
      );
    }
    return this.#block.address;
  }

  /** Whether it was disposed of. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Number of elements. */
  get size(): number {
    return elements(this.shape);
  }

  async data(): Promise<DataOf<D>> {
    const address = this.address;
    return await this.backend.whenIdle(() => {
      const failure = this.#failure();
      if (failure !== undefined) throw failure;
      return this.backend.view(this.dtype, address, this.size).slice() as DataOf<D>;
    });
  }

  write(values: DataOf<D>): void {
    const address = this.address;
    if (values.length !== this.size) {
      throw new RangeError(
        `Cannot write a tensor of shape ${
          shapeText(this.shape)
        }: expected ${this.size} values, got ${values.length}`,
      );
    }
    const store = (values: DataOf<D>) =>
      this.backend.view(this.dtype, address, this.size).set(values);
    if (this.backend.idle) store(values);
    else {
      const copy = values.slice() as DataOf<D>;
      this.backend.submit(() => store(copy));
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release(this.#block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
