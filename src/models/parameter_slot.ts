/**
 * The place of a parameter: declared first, filled when the model is loaded.
 *
 * @module
 */

import type { Backend, HostArray } from "../backends/backend.ts";
import type { WeightDType } from "../base/dtypes.ts";

/** A parameter that has been declared and has a value once it is loaded. */
export interface Parameter<T> {
  /**
   * Its value in the memory of the device.
   *
   * @throws {ReferenceError} If it is not loaded.
   */
  readonly value: T;
}

/** Makes the value of a parameter from arrays that have been loaded. */
export type MakeParameter<T> = (
  backend: Backend,
  arrays: readonly HostArray[],
  dtype: WeightDType | undefined,
) => T | Promise<T>;

/** Names and shapes of arrays of a checkpoint. */
export type ArrayShapes = readonly (readonly [name: string, shape: readonly number[]])[];

/** Place of a parameter that is loaded later. */
export class ParameterSlot<T extends Disposable> implements Parameter<T> {
  /** Names and shapes of the arrays that it is made of. */
  readonly shapes: ArrayShapes;
  readonly #make: MakeParameter<T>;
  #value: T | undefined;

  /** @param make Makes the value of its arrays. */
  constructor(shapes: ArrayShapes, make: MakeParameter<T>) {
    this.shapes = shapes;
    this.#make = make;
  }

  get value(): T {
    if (this.#value === undefined) {
      throw new ReferenceError(
        `Cannot use ${this.shapes[0]?.[0]}: the model was disposed of, or is not loaded`,
      );
    }
    return this.#value;
  }

  /** Makes the value. */
  async fill(
    backend: Backend,
    arrays: readonly HostArray[],
    dtype: WeightDType | undefined,
  ): Promise<void> {
    this.#value = await this.#make(backend, arrays, dtype);
  }

  /** Gives the memory of the value back. */
  empty(): void {
    this.#value?.[Symbol.dispose]();
    this.#value = undefined;
  }
}
