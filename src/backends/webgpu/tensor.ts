/**
 * Arrays in GPU memory.
 *
 * @module
 */

import type { Backend, DataOf, DType } from "../backend.ts";
import { expectCount, type OwnTensor } from "../arguments.ts";
import { disposedError } from "../errors.ts";
import type { LastRun } from "../frame_life.ts";
import { formatShape } from "../../base/format.ts";
import { elementCount } from "../../base/shapes.ts";
import type { Device } from "./device.ts";
import { BUFFER_USAGE } from "./flags.ts";

/** A part of a buffer, as bound to a kernel. */
export interface BufferSlice {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** First byte; a multiple of 256. Default 0. */
  readonly offset?: number;
  /** Bytes. */
  readonly bytes: number;
}

/** Usage of buffers that hold tensors and weights. */
export const STORAGE_USAGE: GPUBufferUsageFlags = BUFFER_USAGE.storage |
  BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination;

/** Where the content of a tensor comes from. */
export interface TensorOrigin {
  /** The last run of the frame that computes it. */
  readonly lastRun?: LastRun;
  /** Tensor whose memory this is, if not its own. */
  readonly owner?: WebGpuTensor;
}

/** A tensor in a buffer. */
export class WebGpuTensor<D extends DType = DType> implements OwnTensor<D>, BufferSlice {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** Lengths of the dimensions. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: D;
  /** Its buffer, which may be longer. */
  readonly buffer: GPUBuffer;
  /** Number of elements. */
  readonly size: number;
  readonly #device: Device;
  readonly #release: () => void;
  readonly #origin: TensorOrigin;
  #disposed = false;

  /**
   * Takes over a buffer.
   *
   * @param release Takes the buffer back.
   */
  constructor(
    backend: Backend,
    device: Device,
    buffer: GPUBuffer,
    shape: readonly number[],
    dtype: D,
    release: () => void,
    origin: TensorOrigin = {},
  ) {
    this.backend = backend;
    this.#device = device;
    this.buffer = buffer;
    this.shape = [...shape];
    this.size = elementCount(shape);
    this.dtype = dtype;
    this.#release = release;
    this.#origin = origin;
  }

  /** Number of bytes. */
  get bytes(): number {
    return this.size * 4;
  }

  /** Its buffer: tensors that share memory share it. */
  get memory(): GPUBuffer {
    return this.buffer;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#disposed || this.#origin.owner?.disposed === true;
  }

  /** The same memory in another shape; it stays this tensor's. */
  view(shape: readonly number[]): WebGpuTensor<D> {
    const { backend, buffer, dtype } = this;
    const origin = { ...this.#origin, owner: this };
    return new WebGpuTensor(backend, this.#device, buffer, shape, dtype, () => {}, origin);
  }

  /**
   * Reads the elements.
   *
   * @throws {ReferenceError} If the tensor or its backend was disposed of.
   * @throws {DeviceLostError} If the GPU was lost.
   */
  data(): Promise<DataOf<D>> {
    const values = this.#read();
    return this.#origin.lastRun?.read(values) ?? values;
  }

  /** Replaces all elements; without effect on a lost GPU, which the next run reports. */
  write(values: DataOf<D>): void {
    this.#assertAlive();
    expectCount("write to a tensor", values.length, this.shape);
    if (this.#device.closed) throw disposedError("the backend");
    this.#device.write(this.buffer, 0, values);
  }

  /** Gives the memory back. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #assertAlive(): void {
    if (this.disposed) throw disposedError(`a tensor of shape ${formatShape(this.shape)}`);
  }

  async #read(): Promise<DataOf<D>> {
    this.#assertAlive();
    const bytes = await this.#device.read(this.buffer, this.bytes);
    const data = this.dtype === "f32" ? new Float32Array(bytes) : new Int32Array(bytes);
    return data as DataOf<D>;
  }
}

/** A tensor of floats. */
export type FloatTensor = WebGpuTensor<"f32">;

/** A tensor of ids or indices. */
export type IntTensor = WebGpuTensor<"i32">;
