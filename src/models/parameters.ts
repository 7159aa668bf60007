/**
 * The parameters of a model: declared first, checked against a checkpoint as a whole, then loaded one
 * after the other.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { Backend, ConvWeight, HostArray, LinearWeight, Tensor } from "../backends/backend.ts";
import { describeValue } from "../base/check.ts";
import { formatShape } from "../base/format.ts";
import { elementCount, fitsShape } from "../base/shapes.ts";
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

/** Options of {@linkcode Parameters.load}. */
export interface LoadParametersOptions {
  /** How the weights of linear layers are held. Default: as stored. */
  readonly dtype?: WeightDType | undefined;
  /** Stops loading between two arrays. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@linkcode Parameters.linear}. */
export interface LinearDeclaration {
  /** Whether there is a bias. Default true. */
  readonly bias?: boolean;
  /** Whether the weight is that of a 1×1 convolution. Default false. */
  readonly pointwise?: boolean;
  /** Whether it is held in float16 where int8 is asked for, since much depends on it. Default false. */
  readonly precise?: boolean;
}

/** Makes the value of a parameter from arrays that have been loaded. */
export type MakeParameter<T> = (
  backend: Backend,
  arrays: readonly HostArray[],
  dtype: WeightDType | undefined,
) => T | Promise<T>;

/** Names and shapes of arrays of a checkpoint. */
export type ArrayShapes = readonly (readonly [name: string, shape: readonly number[]])[];

/** Most names of arrays of a file that are told. */
const MOST_NAMES = 20;

/** Declares the parameters of a model, loads them and owns their memory. */
export class Parameters implements Disposable {
  readonly #slots: Slot<Disposable>[] = [];
  readonly #kept: RegExp[] = [];
  readonly #leftOut: RegExp[] = [];
  readonly #quantizable = new Set<string>();
  readonly #preciseLinears: string[] = [];

  /** Names of the arrays that may be stored in int8. */
  get quantizable(): ReadonlySet<string> {
    return this.#quantizable;
  }

  /** Names of the linear layers that may not. */
  get preciseLinears(): readonly string[] {
    return this.#preciseLinears;
  }

  /** A tensor, widened to float32. */
  tensor(name: string, shape: readonly number[]): Parameter<Tensor> {
    return this.derived([[name, shape]], (backend, [array]) => backend.upload(array!));
  }

  /** `name.weight` and `name.bias` of a normalisation. */
  norm(name: string, size: number): NormParameters {
    const weight = this.tensor(`${name}.weight`, [size]);
    const bias = this.tensor(`${name}.bias`, [size]);
    return {
      get weight() {
        return weight.value;
      },
      get bias() {
        return bias.value;
      },
    };
  }

  /**
   * A linear layer, or several of the same argument that are joined into one.
   *
   * @param names Layers, whose arrays are `name.weight` and `name.bias`.
   * @param outFeatures Features of the result of each of them.
   */
  linear(
    names: readonly string[],
    inFeatures: number,
    outFeatures: number,
    options: LinearDeclaration = {},
  ): Parameter<LinearWeight> {
    const { bias = true, pointwise = false, precise = false } = options;
    const shape = pointwise ? [outFeatures, inFeatures, 1, 1] : [outFeatures, inFeatures];
    const weights = names.map((name) => [`${name}.weight`, shape] as const);
    if (precise) this.keepPrecise(...names);
    else for (const [name] of weights) this.#quantizable.add(name);
    const biases = bias ? names.map((name) => [`${name}.bias`, [outFeatures]] as const) : [];
    return this.derived(
      [...weights, ...biases],
      (backend, arrays, dtype) =>
        backend.linearWeight(
          arrays.slice(0, names.length),
          arrays.slice(names.length),
          precise && dtype === "q8" ? "fp16" : dtype,
        ),
    );
  }

  /** Notes linear layers that may not be stored in int8. */
  keepPrecise(...names: readonly string[]): void {
    this.#preciseLinears.push(...names);
  }

  /** `name.weight` and `name.bias` of a convolution. */
  conv(
    name: string,
    inChannels: number,
    outChannels: number,
    kernelSize: 1 | 3,
  ): Parameter<ConvWeight> {
    const shapes: ArrayShapes = [
      [`${name}.weight`, [outChannels, inChannels, kernelSize, kernelSize]],
      [`${name}.bias`, [outChannels]],
    ];
    return this.derived(shapes, (backend, [weight, bias]) => backend.convWeight(weight!, bias!));
  }

  /** Something made of several arrays, which are not kept. */
  derived<T extends Disposable>(shapes: ArrayShapes, make: MakeParameter<T>): Parameter<T> {
    const slot = new Slot(shapes, make);
    this.#slots.push(slot);
    return slot;
  }

  /** Leaves arrays alone that a checkpoint may hold without need, but that are saved with the others. */
  keep(names: RegExp): void {
    this.#kept.push(names);
  }

  /** Leaves arrays alone that belong to something else, and are not saved. */
  leaveOut(names: RegExp): void {
    this.#leftOut.push(names);
  }

  /** The arrays of a checkpoint that are saved: those that were declared, and those to keep. */
  savedNames(source: ArraySource): string[] {
    const declared = this.#declared();
    const isKept = (name: string) => this.#kept.some((names) => names.test(name));
    return source.names().filter((name) => declared.has(name) || isKept(name));
  }

  #declared(): Map<string, readonly number[]> {
    return new Map(this.#slots.flatMap((slot) => [...slot.shapes]));
  }

  /** Number of elements of all arrays that were declared. */
  get count(): number {
    return this.#slots.flatMap(({ shapes }) => shapes)
      .reduce((sum, [, shape]) => sum + elementCount(shape), 0);
  }

  /** Loads what has been declared, from a checkpoint that fits. If that fails, all memory is given back. */
  async load(
    backend: Backend,
    source: ArraySource,
    { dtype, signal }: LoadParametersOptions = {},
  ): Promise<void> {
    try {
      for (const slot of this.#slots) {
        const arrays: HostArray[] = [];
        for (const [name] of slot.shapes) {
          signal?.throwIfAborted();
          arrays.push(await source.load(name));
        }
        await slot.fill(backend, arrays, dtype);
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /**
   * Checks that a checkpoint holds what has been declared.
   *
   * @returns Names of arrays that are not needed.
   * @throws {TypeError} If arrays are missing, misshapen or cannot be read; it names all of them, and
   *   those that are not needed, which may be the missing ones under other names.
   */
  check(source: ArraySource): string[] {
    const declared = this.#declared();
    const present = new Set(source.names());
    const missing: string[] = [];
    const unfit: string[] = [];
    for (const [name, shape] of declared) {
      const found = source.shape(name);
      const reason = source.unreadable?.(name);
      if (!present.has(name) || found === undefined) missing.push(name);
      else if (!fitsShape(found, shape)) {
        unfit.push(`${name} has shape ${formatShape(found)}, expected ${formatShape(shape)}`);
      } else if (reason !== undefined) unfit.push(`${name} cannot be read, as ${reason}`);
    }
    const known = [...this.#kept, ...this.#leftOut];
    const unknown = [...present].filter((name) =>
      !declared.has(name) && !known.some((names) => names.test(name))
    );
    const problems = [
      ...(missing.length > 0 ? [`missing ${missing.join(", ")}`] : []),
      ...unfit,
    ];
    if (problems.length === 0) return unknown;
    if (unknown.length > 0) problems.push(`unknown ${listNames(unknown)}`);
    throw new TypeError(
      `Cannot load ${source.description}: its arrays do not fit the config: ${problems.join("; ")}`,
    );
  }

  /** Gives the memory back. */
  dispose(): void {
    for (const slot of this.#slots) slot.empty();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The parameters below a prefix of their names: `scope.at("attn1").at("to_q")`. */
export class ParameterScope {
  /**
   * The parameters below a name.
   *
   * @param name Prefix of the names, without the dot that follows. Default: none.
   */
  constructor(readonly parameters: Parameters, readonly name: string = "") {}

  /** The scope below a name. */
  at(name: string | number): ParameterScope {
    const path = this.name === "" ? `${name}` : `${this.name}.${name}`;
    return new ParameterScope(this.parameters, path);
  }

  /** Layers named 0, 1, 2, …, as in PyTorch's `ModuleList`. */
  list<T>(length: number, make: (scope: ParameterScope, index: number) => T): T[] {
    return Array.from({ length }, (_, i) => make(this.at(i), i));
  }
}

/** Names of arrays for people. They come from files: quoted if they are none of a model's, and cut. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).map((name) =>
    /^[\w.]{1,100}$/.test(name) ? name : describeValue(name)
  );
  const others = names.length - shown.length;
  return shown.join(", ") + (others > 0 ? ` and ${others} more` : "");
}

/** Place of a parameter that is loaded later. */
class Slot<T extends Disposable> implements Parameter<T> {
  readonly shapes: ArrayShapes;
  readonly #make: MakeParameter<T>;
  #value: T | undefined;

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
