// Memory of the oracle: tensors that know when they were given back, and the queue of work.

import { expectCount, type OwnTensor } from "../../src/backends/arguments.ts";
import { disposedError } from "../../src/backends/errors.ts";
import type { LastRun } from "../../src/backends/frame_life.ts";
import { elementCount } from "../../src/base/shapes.ts";
import type { Backend, DataOf, DType } from "../../src/backends/backend.ts";

/** Counts what is in use and does work in the order of submission. */
export class OracleMemory {
  bytes = 0;
  allocations = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** Counts an allocation; the result uncounts it, once. */
  reserve(bytes: number): () => void {
    this.bytes += bytes;
    this.allocations++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.bytes -= bytes;
      this.allocations--;
    };
  }

  /** Does the work after what was submitted before, whether that failed or not. */
  submit<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Where a tensor's memory and content come from. */
export interface OracleOrigin<D extends DType> {
  /** Tensor of the same type and size whose memory it shares. */
  readonly viewed?: OracleTensor<D>;
  /** Gives memory back that is counted already. */
  readonly release?: () => void;
  /** The last run of the frame that computes it. */
  readonly lastRun?: LastRun;
}

/** A tensor in an array of JavaScript's. */
export class OracleTensor<D extends DType> implements OwnTensor<D> {
  readonly backend: Backend;
  readonly shape: readonly number[];
  readonly dtype: D;
  /** The elements; NaN or the smallest integer until something is written. */
  readonly values: DataOf<D>;
  readonly #memory: OracleMemory;
  readonly #release: () => void;
  readonly #origin: OracleOrigin<D>;
  #disposed = false;

  constructor(
    backend: Backend,
    memory: OracleMemory,
    shape: readonly number[],
    dtype: D,
    origin: OracleOrigin<D> = {},
  ) {
    this.backend = backend;
    this.shape = [...shape];
    this.dtype = dtype;
    this.#memory = memory;
    this.#origin = origin;
    const { viewed, release } = origin;
    this.values = viewed?.values ?? undefinedValues(elementCount(shape), dtype);
    this.#release = release ??
      (viewed === undefined ? memory.reserve(this.values.byteLength) : () => {});
  }

  get size(): number {
    return this.values.length;
  }

  get memory(): DataOf<D> {
    return this.values;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#disposed || (this.#origin.viewed?.disposed ?? false);
  }

  data(): Promise<DataOf<D>> {
    if (this.disposed) return Promise.reject(disposedError("the tensor"));
    const values = this.#memory.submit(() => this.values.slice() as DataOf<D>);
    return this.#origin.lastRun?.read(values) ?? values;
  }

  write(values: DataOf<D>): void {
    if (this.disposed) throw disposedError("the tensor");
    expectCount("write to a tensor", values.length, this.shape);
    const copy = values.slice();
    this.#memory.submit(() => this.values.set(copy));
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Elements that nothing has been written to, which no test should see. */
function undefinedValues<D extends DType>(size: number, dtype: D): DataOf<D> {
  const values = dtype === "f32"
    ? new Float32Array(size).fill(NaN)
    : new Int32Array(size).fill(-(2 ** 31));
  return values as DataOf<D>;
}
