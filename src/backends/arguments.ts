/**
 * Checks of what callers give to backends. All throw errors that say what was asked for, what was
 * expected and what was given.
 *
 * @module
 */

import type { Backend, Columns, ConvWeight, DType, LinearWeight, Tensor } from "./backend.ts";
import { formatShape } from "../base/format.ts";
import { columnsOf, elementCount, fitsShape, rowsOf, type ShapePattern } from "../base/shapes.ts";

/** What checks have to know of the tensors of a backend. */
export interface OwnTensor<D extends DType = DType> extends Tensor<D> {
  /** Number of elements. */
  readonly size: number;
  /** Whether its memory was given back. */
  readonly disposed: boolean;
  /** What it lies in: the same for tensors that share memory. */
  readonly memory: unknown;
}

/** What checks have to know of the weights of a backend. */
export interface OwnWeight {
  /** Backend whose memory it lies in. */
  readonly backend: Backend;
  /** Whether its memory was given back. */
  readonly disposed: boolean;
}

/** A class of which arguments have to be. */
export type Class<T> = abstract new (...args: never[]) => T;

/**
 * Says that something does not fit.
 *
 * @param task What cannot be done, such as `run linear`.
 * @param expected What was expected, such as `x with 256 columns`.
 * @param given What was given; an array is a shape.
 * @throws {RangeError} Always.
 */
export function refuse(
  task: string,
  expected: string,
  given: number | string | readonly number[],
): never {
  const text = typeof given === "object" ? formatShape(given) : given;
  throw new RangeError(`Cannot ${task}: expected ${expected}, got ${text}`);
}

/**
 * Number of elements of a shape that a caller made up. An empty array is refused: there is nothing to
 * compute with it, and a GPU cannot bind it.
 *
 * @throws {RangeError} If its lengths are not whole numbers from 1 on.
 */
export function checkedCount(task: string, shape: readonly number[]): number {
  const count = elementCount(shape);
  if (!(count > 0)) refuse(task, "a shape of whole numbers from 1 on", shape);
  return count;
}

/**
 * Checks the number of values for a shape.
 *
 * @throws {RangeError} If it is not the number of elements, or the shape is none.
 */
export function expectCount(task: string, values: number, shape: readonly number[]): void {
  const count = checkedCount(task, shape);
  if (values !== count) refuse(task, `${count} values for shape ${formatShape(shape)}`, values);
}

/** The types of a backend's own that its frames deal with. */
export interface Device {
  /** Tensors of floats. */
  readonly floats: OwnTensor<"f32">;
  /** Tensors of ids or indices. */
  readonly ints: OwnTensor<"i32">;
  /** Weights of linear layers. */
  readonly linear: OwnWeight & LinearWeight;
  /** Weights of convolutions. */
  readonly conv: OwnWeight & ConvWeight;
  /** What operations are recorded to. */
  readonly recorder: unknown;
}

/** The classes that a backend's arguments have to be of. */
export interface OwnClasses<D extends Device> {
  /** Of its tensors. */
  readonly tensor: Class<OwnTensor>;
  /** Of the weights of linear layers. */
  readonly linear: Class<D["linear"]>;
  /** Of the weights of convolutions. */
  readonly conv: Class<D["conv"]>;
  /** Most columns of rows whose exponentials are summed. Default: any number. */
  readonly mostSummed?: number;
}

/** Checks the arguments of one call of an operation. */
export class Arguments<D extends Device> {
  readonly #task: string;
  readonly #backend: Backend;
  readonly #tensor: Class<OwnTensor>;

  /**
   * Checks for a call of `operation`.
   *
   * @param tensor Class of the backend's tensors.
   */
  constructor(operation: string, backend: Backend, tensor: Class<OwnTensor>) {
    this.#task = `run ${operation}`;
    this.#backend = backend;
    this.#tensor = tensor;
  }

  /**
   * Fails unless `holds`.
   *
   * @throws {RangeError} That says what was expected and what was given.
   */
  expect(holds: boolean, expected: string, given: number | string | readonly number[]): void {
    if (!holds) refuse(this.#task, expected, given);
  }

  /** A tensor of this backend. */
  tensor(name: string, tensor: Tensor<DType>): D["floats"] | D["ints"] {
    return this.#own(name, tensor, tensor?.dtype, undefined) as D["floats"] | D["ints"];
  }

  /** A tensor of floats of this backend, of a shape if one is given. */
  floats(name: string, tensor: Tensor, shape?: ShapePattern): D["floats"] {
    return this.#own(name, tensor, "f32", shape) as D["floats"];
  }

  /** A tensor of ids of this backend, of a shape if one is given. */
  ints(name: string, tensor: Tensor<"i32">, shape?: ShapePattern): D["ints"] {
    return this.#own(name, tensor, "i32", shape) as D["ints"];
  }

  /** A tensor of floats with so many elements, in any shape. */
  vector(name: string, tensor: Tensor, size: number): D["floats"] {
    const own = this.floats(name, tensor);
    this.expect(own.size === size, `${name} with ${size} elements`, own.shape);
    return own;
  }

  /** A tensor of one id. */
  scalar(name: string, tensor: Tensor<"i32">): D["ints"] {
    const own = this.ints(name, tensor);
    this.expect(own.size === 1, `${name} with one element`, own.shape);
    return own;
  }

  /** A tensor of one id, or of one for each sequence (first dimension) of x. */
  perSequence(name: string, tensor: Tensor<"i32">, x: D["floats"]): D["ints"] {
    const own = this.ints(name, tensor);
    const batch = x.shape[0]!;
    const fits = own.size === 1 || own.size === batch;
    this.expect(fits, `${name} with one element, or ${batch}`, own.shape);
    return own;
  }

  /** A tensor of floats with so many columns. */
  rows(name: string, tensor: Tensor, columns: number): D["floats"] {
    const own = this.floats(name, tensor);
    this.expect(columnsOf(own) === columns, `${name} with ${columns} columns`, own.shape);
    return own;
  }

  /** Fails if a tensor has too many columns. */
  expectColumns(name: string, tensor: D["floats"], most = Infinity): void {
    this.expect(columnsOf(tensor) <= most, `${name} with at most ${most} columns`, tensor.shape);
  }

  /** Columns of a tensor that hold `width` columns, of a number of rows divisible by `batch`. */
  columns(name: string, { tensor, offset }: Columns, width: number, batch: number) {
    const own = this.floats(name, tensor);
    const inside = Number.isSafeInteger(offset) && offset >= 0 && offset + width <= columnsOf(own);
    this.expect(inside, `${name} with ${width} columns from ${offset}`, own.shape);
    const rows = rowsOf(own) / batch;
    this.expect(Number.isInteger(rows), `${name} with rows for ${batch} sequences`, own.shape);
    return { tensor: own, offset, rows };
  }

  /** What an operation adds to: so many elements that are not those it reads. */
  target(tensor: Tensor, shape: readonly number[], read: D["floats"]): D["floats"] {
    const own = this.vector("addTo", tensor, elementCount(shape));
    this.expect(own.memory !== read.memory, "addTo to be another tensor than x", "x itself");
    return own;
  }

  /** A weight of this backend. */
  weight<W extends OwnWeight>(weight: unknown, kind: Class<W>): W {
    if (!(weight instanceof kind) || weight.backend !== this.#backend) {
      throw new TypeError(`Cannot ${this.#task}: weight is not one of this backend`);
    }
    if (weight.disposed) throw new ReferenceError(`Cannot ${this.#task}: weight was disposed of`);
    return weight;
  }

  /** A whole number from 1 on. */
  natural(name: string, value: number): void {
    const holds = Number.isSafeInteger(value) && value >= 1;
    this.expect(holds, `${name} to be a whole number from 1 on`, value);
  }

  /** A finite number. */
  finite(name: string, value: number): void {
    this.expect(Number.isFinite(value), `${name} to be finite`, value);
  }

  /** Number of elements of a shape. */
  count(shape: readonly number[]): number {
    return checkedCount(this.#task, shape);
  }

  #own<T extends DType>(
    name: string,
    tensor: Tensor<T>,
    dtype: T,
    shape: ShapePattern | undefined,
  ): OwnTensor {
    const what = `Cannot ${this.#task}: ${name}`;
    if (!(tensor instanceof this.#tensor) || tensor.backend !== this.#backend) {
      throw new TypeError(`${what} is not a tensor of this backend`);
    }
    if (tensor.disposed) throw new ReferenceError(`${what} was disposed of`);
    if (tensor.dtype !== dtype) {
      throw new TypeError(
        `Cannot ${this.#task}: expected ${name} of type ${dtype}, got ${tensor.dtype}`,
      );
    }
    this.expect(tensor.shape.length > 0, `${name} of at least one dimension`, tensor.shape);
    if (shape !== undefined) {
      const fits = fitsShape(tensor.shape, shape);
      this.expect(fits, `${name} of shape ${formatShape(shape)}`, tensor.shape);
    }
    return tensor;
  }
}
