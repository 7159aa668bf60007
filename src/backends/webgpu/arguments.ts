/**
 * Checks of what operations are given. All throw errors that name the operation and the argument.
 *
 * @module
 */

import {
  type Backend,
  type Columns,
  type DType,
  type PosteriorOptions,
  SCHEDULE_COLUMNS,
  type Tensor,
} from "../backend.ts";
import { formatShape } from "./format.ts";
import type { PosteriorInputs } from "./posterior.ts";
import { elementCount, type FloatTensor, type IntTensor, WebGpuTensor } from "./tensor.ts";

/** Checks the arguments of one call of an operation. */
export class Arguments {
  readonly #backend: Backend;
  readonly #operation: string;

  /** Checks for a call of `operation`, as error messages call it. */
  constructor(backend: Backend, operation: string) {
    this.#backend = backend;
    this.#operation = operation;
  }

  /**
   * Fails unless `holds`.
   *
   * @throws {RangeError} That says what was expected and what was given.
   */
  expect(holds: boolean, name: string, expected: string, given: unknown): asserts holds {
    if (holds) return;
    const text = Array.isArray(given) ? `shape ${formatShape(given)}` : String(given);
    throw new RangeError(
      `Cannot do ${this.#operation}: expected ${name} ${expected}, got ${text}`,
    );
  }

  /**
   * A tensor of floats of this backend.
   *
   * @param shape What its shape has to be; `undefined` stands for any length.
   */
  floats(name: string, tensor: Tensor, shape?: readonly (number | undefined)[]): FloatTensor {
    return this.#own(name, tensor, "f32", shape);
  }

  /** A tensor of ids of this backend. */
  ints(name: string, tensor: Tensor<"i32">, shape?: readonly (number | undefined)[]): IntTensor {
    return this.#own(name, tensor, "i32", shape);
  }

  /** A tensor of floats with so many elements, in any shape. */
  vector(name: string, tensor: Tensor, size: number): FloatTensor {
    const own = this.floats(name, tensor);
    this.expect(own.size === size, name, `of ${size} elements`, own.shape);
    return own;
  }

  /** A tensor of one id. */
  scalar(name: string, tensor: Tensor<"i32">): IntTensor {
    const own = this.ints(name, tensor);
    this.expect(own.size === 1, name, "of one element", own.shape);
    return own;
  }

  /** A weight of this backend. */
  weight<T extends { readonly backend: Backend; readonly disposed: boolean }>(
    weight: unknown,
    kind: abstract new (...args: never[]) => T,
  ): T {
    if (!(weight instanceof kind) || weight.backend !== this.#backend) {
      throw new TypeError(`Cannot do ${this.#operation}: weight is not one of this backend`);
    }
    if (weight.disposed) {
      throw new ReferenceError(`Cannot do ${this.#operation}: weight was disposed of`);
    }
    return weight;
  }

  /** Columns of a tensor that hold `width` columns, of a number of rows divisible by `batch`. */
  columns(name: string, columns: Columns, width: number, batch: number): FloatTensor {
    const tensor = this.floats(name, columns.tensor);
    const stride = tensor.shape.at(-1)!;
    const { offset } = columns;
    const inside = Number.isSafeInteger(offset) && offset >= 0 && offset + width <= stride;
    this.expect(inside, name, `of ${width} columns from ${offset}`, tensor.shape);
    const divides = tensor.size / stride % batch === 0;
    this.expect(divides, name, `of rows for ${batch} sequences`, tensor.shape);
    return tensor;
  }

  /** A number that is a whole one and at least `least`. */
  natural(name: string, value: number, least = 1): void {
    const natural = Number.isSafeInteger(value) && value >= least;
    this.expect(natural, name, `of at least ${least}, a whole number`, value);
  }

  /** Number of elements of a shape of whole numbers. */
  size(name: string, shape: readonly number[]): number {
    const valid = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
    this.expect(valid, name, "of whole numbers", [...shape]);
    return elementCount(shape);
  }

  /** A finite number. */
  finite(name: string, value: number): void {
    this.expect(Number.isFinite(value), name, "to be finite", value);
  }

  /** What an operation adds to: neither of the tensors that it reads. */
  target(tensor: Tensor, shape: readonly number[], reads: readonly FloatTensor[]): FloatTensor {
    const size = shape.reduce((a, b) => a * b, 1);
    const own = this.vector("addTo", tensor, size);
    const apart = reads.every(({ buffer }) => buffer !== own.buffer);
    this.expect(apart, "addTo", "to be another tensor than x", "x itself");
    return own;
  }

  /** What `posterior` and `sampleStep` share. */
  posterior(
    logProbs: Tensor,
    latents: Tensor<"i32">,
    options: PosteriorOptions,
    copies = 1,
  ): PosteriorInputs {
    const p = this.floats("logProbs", logProbs, [undefined, undefined, undefined]);
    const [rows, pixels] = p.shape as [number, number];
    const width = SCHEDULE_COLUMNS.length;
    return {
      logProbs: p,
      latents: this.ints("latents", latents, [rows / copies, pixels]),
      schedule: this.floats("schedule", options.schedule, [undefined, width]),
      timestep: this.scalar("timestep", options.timestep),
    };
  }

  #own<D extends DType>(
    name: string,
    tensor: Tensor<D>,
    dtype: D,
    shape: readonly (number | undefined)[] | undefined,
  ): WebGpuTensor<D> {
    const what = `Cannot do ${this.#operation}: ${name}`;
    if (!(tensor instanceof WebGpuTensor) || tensor.backend !== this.#backend) {
      throw new TypeError(`${what} is not a tensor of this backend`);
    }
    if (tensor.disposed) throw new ReferenceError(`${what} was disposed of`);
    if (tensor.dtype !== dtype) {
      throw new TypeError(`${what} has elements of type ${tensor.dtype}, expected ${dtype}`);
    }
    this.expect(tensor.shape.length > 0, name, "of at least one dimension", tensor.shape);
    if (shape !== undefined) {
      const fits = tensor.shape.length === shape.length &&
        shape.every((length, i) => length === undefined || length === tensor.shape[i]);
      const text = shape.map((length) => length ?? "any").join(", ");
      this.expect(fits, name, `of shape [${text}]`, tensor.shape);
    }
    return tensor;
  }
}
