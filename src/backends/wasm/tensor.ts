/**
 * Tensors in Wasm memory.
 *
 * @module
 */

import { expectCount, type OwnTensor } from "../arguments.ts";
import type { DataOf, DType } from "../backend.ts";
import { disposedError } from "../errors.ts";
import type { LastRun } from "../frame_life.ts";
import { formatShape } from "../../base/format.ts";
import { elementCount } from "../../base/shapes.ts";
import type { WasmHost } from "./host.ts";

/** Where the content of a tensor comes from. */
export interface TensorOrigin {
  /** The last run of the frame that computes it. */
  readonly lastRun?: LastRun;
  /** Tensor whose memory this is, if not its own. */
  readonly owner?: WasmTensor<DType>;
}

/** An array in Wasm memory. */
export class WasmTensor<D extends DType = DType> implements OwnTensor<D> {
  readonly backend: WasmHost;
  readonly shape: readonly number[];
  readonly dtype: D;
  /** Number of elements. */
  readonly size: number;
  readonly #address: number;
  readonly #release: () => void;
  readonly #origin: TensorOrigin;
  #disposed = false;

  /**
   * Takes over memory.
   *
   * @param address First byte.
   * @param release Takes the memory back when the tensor is disposed of.
   */
  constructor(
    backend: WasmHost,
    shape: readonly number[],
    dtype: D,
    address: number,
    release: () => void,
    origin: TensorOrigin = {},
  ) {
    this.backend = backend;
    this.shape = [...shape];
    this.size = elementCount(shape);
    this.dtype = dtype;
    this.#address = address;
    this.#release = release;
    this.#origin = origin;
  }

  /**
   * Address of the first element.
   *
   * @throws {ReferenceError} If the tensor was disposed of.
   */
  get address(): number {
    if (this.disposed) {
      throw disposedError(`a tensor of shape ${formatShape(this.shape)}`);
    }
    return this.#address;
  }

  /** Its address: tensors that share memory share it. */
  get memory(): number {
    return this.#address;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#disposed || this.#origin.owner?.disposed === true;
  }

  /** The same memory in another shape; it stays this tensor's. */
  view(shape: readonly number[]): WasmTensor<D> {
    const origin = { ...this.#origin, owner: this };
    return new WasmTensor(this.backend, shape, this.dtype, this.#address, () => {}, origin);
  }

  data(): Promise<DataOf<D>> {
    const values = this.#read();
    return this.#origin.lastRun?.read(values) ?? values;
  }

  write(values: DataOf<D>): void {
    const { address } = this;
    expectCount("write to a tensor", values.length, this.shape);
    const kept = this.backend.idle ? values : values.slice() as DataOf<D>;
    this.backend.defer(() => this.backend.memory.write(address, kept));
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #read(): Promise<DataOf<D>> {
    const { address } = this;
    return await this.backend.call(() => this.backend.memory.read(this.dtype, address, this.size));
  }
}

/** A tensor of floats. */
export type FloatTensor = WasmTensor<"f32">;

/** A tensor of ids or indices. */
export type IntTensor = WasmTensor<"i32">;
