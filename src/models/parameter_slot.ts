/**
 * The place of a parameter: declared first, filled when the model is loaded.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backends/backend.ts";
import { firstNonFinite, float32Values, widen } from "../backends/host_arrays.ts";
import type { WeightDType } from "../base/dtypes.ts";
import { inTurns } from "../base/pauses.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";

/** A parameter that has been declared and has a value once it is loaded. */
export interface Parameter<T> {
  /**
   * Its value in the memory of the device.
   *
   * @throws {ReferenceError} If it is not loaded.
   */
  readonly value: T;
}

/** Factor and shift of a normalisation. */
export interface NormParameters {
  /** One factor for each column or channel. */
  readonly weight: Tensor;
  /** One shift for each column or channel. */
  readonly bias: Tensor;
}

/** Makes the value of a parameter from arrays that have been loaded. */
export type MakeParameter<T> = (
  backend: Backend,
  arrays: readonly HostArray[],
  dtype: WeightDType | undefined,
) => T | Promise<T>;

/** Names and shapes of arrays of a checkpoint. */
export type ArrayShapes = readonly (readonly [name: string, shape: readonly number[]])[];

/** Makes something of float32 tensors, by operations that gradients can go through. */
export type RecordParameter<T> = (frame: Frame, tensors: readonly Tensor[]) => T;

/** How a parameter comes about. */
export interface ParameterDeclaration<T> {
  /** Its arrays; those of a group are joined along their first dimension. */
  readonly groups: readonly ArrayShapes[];
  /** Makes it of all its arrays, as a checkpoint holds them. */
  readonly make: MakeParameter<T>;
  /** Makes it of one tensor for each group. */
  readonly record: RecordParameter<T>;
}

/** Place of a parameter that is loaded later. */
export interface ParameterSlot<T extends Disposable> extends Parameter<T> {
  /** Names and shapes of the arrays that it is made of. */
  readonly shapes: ArrayShapes;
  /** Makes the value of the arrays. */
  fill(
    backend: Backend,
    arrays: readonly HostArray[],
    dtype: WeightDType | undefined,
  ): Promise<void>;
  /** Gives the memory of the value back. */
  empty(): void;
}

/** Place of a parameter that is made once, in the form that operations take. */
export class FixedSlot<T extends Disposable> implements ParameterSlot<T> {
  readonly shapes: ArrayShapes;
  readonly #make: MakeParameter<T>;
  #value: T | undefined;

  /** Begins without a value. */
  constructor({ groups, make }: ParameterDeclaration<T>) {
    this.shapes = groups.flat();
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

  async fill(
    backend: Backend,
    arrays: readonly HostArray[],
    dtype: WeightDType | undefined,
  ): Promise<void> {
    this.#value = await this.#make(backend, arrays, dtype);
  }

  empty(): void {
    this.#value?.[Symbol.dispose]();
    this.#value = undefined;
  }
}

/**
 * Loads an array, of which no value may be infinite or no number: all that it leads to would be NaN.
 *
 * @throws {RangeError} If one is.
 */
export async function loadFinite(source: ArraySource, name: string): Promise<HostArray> {
  const array = await source.load(name);
  const index = await inTurns(firstNonFinite(array));
  if (index < 0) return array;
  const value = float32Values(array)[index];
  throw new RangeError(
    `Cannot load ${source.description}: ${name} has the value ${value} at index ${index}, expected ` +
      `finite numbers`,
  );
}

/** Makes a float32 tensor of an array, however big, while the event loop turns. */
export async function upload(backend: Backend, array: HostArray): Promise<Tensor> {
  const data = await inTurns(widen(array));
  return backend.upload({ dtype: "f32", shape: array.shape, data });
}

/** Computes a tensor of arrays. */
export async function compute(
  backend: Backend,
  arrays: readonly HostArray[],
  record: RecordParameter<Tensor>,
): Promise<Tensor> {
  using stack = new DisposableStack();
  const tensors: Tensor[] = [];
  for (const array of arrays) tensors.push(stack.use(await upload(backend, array)));
  const frame = stack.use(backend.frame());
  const result = frame.keep(record(frame, tensors));
  try {
    await frame.run();
    return result;
  } catch (error) {
    result.dispose();
    throw error;
  }
}
