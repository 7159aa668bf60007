// Memory of the oracle: tensors that know when they were given back, and the queue of work.

import { expectCount, type OwnTensor } from "../../src/backends/arguments.ts";
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

/** A tensor in an array of JavaScript's. */
export class OracleTensor<D extends DType> implements OwnTensor<D> {
  readonly backend: Backend;
  readonly shape: readonly number[];
  readonly dtype: D;
  /** The elements; NaN or the smallest integer until something is written. */
  readonly values: DataOf<D>;
  readonly #memory: OracleMemory;
  readonly #release: () => void;
  readonly #viewed: OracleTensor<D> | undefined;
  #disposed = false;

  /** @param viewed Tensor of the same type and size whose memory it shares. */
  constructor(
    backend: Backend,
    memory: OracleMemory,
    shape: readonly number[],
    dtype: D,
    viewed?: OracleTensor<D>,
  ) {
    this.backend = backend;
    this.shape = [...shape];
    this.dtype = dtype;
    this.#memory = memory;
    this.#viewed = viewed;
    this.values = viewed?.values ?? undefinedValues(elementCount(shape), dtype);
    this.#release = viewed === undefined ? memory.reserve(this.values.byteLength) : () => {};
  }

  get size(): number {
    return this.values.length;
  }

  get memory(): DataOf<D> {
    return this.values;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#disposed || (this.#viewed?.disposed ?? false);
  }

  data(): Promise<DataOf<D>> {
    if (this.disposed) return Promise.reject(new ReferenceError("The tensor was disposed of"));
    return this.#memory.submit(() => this.values.slice() as DataOf<D>);
  }

  write(values: DataOf<D>): void {
    if (this.disposed) throw new ReferenceError("The tensor was disposed of");
    expectCount("write to a tensor", values.length, this.shape);
    const copy = values.slice();
    this.#memory.submit(() => this.values.set(copy));
  }

  dispose(): void {
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
