/**
 * The parameters of a model: declared first, checked against a checkpoint as a whole, then loaded one
 * after the other.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type {
  Backend,
  ConvWeight,
  Frame,
  HostArray,
  LinearWeight,
  Tensor,
} from "../backends/backend.ts";
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

/** Makes something of float32 tensors, by operations that gradients can go through. */
export type RecordParameter<T> = (frame: Frame, tensors: readonly Tensor[]) => T;

/** How a parameter comes about. */
export interface ParameterDeclaration<T> {
  /** Its arrays; those of a group are joined along their first dimension. */
  readonly groups: readonly ArrayShapes[];
  /** Makes it of all its arrays, as a checkpoint holds them. */
  readonly make: MakeParameter<T>;
  /** Makes it of one tensor for each group; undefined if gradients cannot go through it. */
  readonly record: RecordParameter<T> | undefined;
}

/** Place of a parameter that is loaded later. */
export interface ParameterSlot<T extends Disposable> extends Parameter<T> {
  /** Its arrays. */
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

/** Declares the parameters of a model, loads them and owns their memory. */
export class Parameters implements Disposable {
  readonly #slots: ParameterSlot<Disposable>[] = [];
  readonly #ignored: RegExp[] = [];
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

  /** @ignore A tensor, widened to float32. */
  tensor(name: string, shape: readonly number[]): Parameter<Tensor> {
    return this.declare({
      groups: [[[name, shape]]],
      make: (backend, [array]) => backend.upload(array!),
      record: (_frame, [tensor]) => tensor!,
    });
  }

  /** @ignore `name.weight` and `name.bias` of a normalisation. */
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
   * @ignore
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
    return this.declare({
      groups: bias ? [weights, biases] : [weights],
      make: (backend, arrays, dtype) =>
        backend.linearWeight(
          arrays.slice(0, names.length),
          arrays.slice(names.length),
          precise && dtype === "q8" ? "fp16" : dtype,
        ),
      record: (frame, [weight, bias]) => {
        const matrix = frame.reshape(weight!, [names.length * outFeatures, inFeatures]);
        return frame.pack(matrix, bias && { bias });
      },
    });
  }

  /** Notes linear layers that may not be stored in int8. */
  keepPrecise(...names: readonly string[]): void {
    this.#preciseLinears.push(...names);
  }

  /** @ignore `name.weight` and `name.bias` of a convolution. */
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
    return this.declare({
      groups: [shapes],
      make: (backend, [weight, bias]) => backend.convWeight(weight!, bias!),
      record: undefined,
    });
  }

  /** @ignore A tensor that operations make of several arrays, which are not kept. */
  computed(shapes: ArrayShapes, record: RecordParameter<Tensor>): Parameter<Tensor> {
    return this.declare({
      groups: shapes.map((shape) => [shape]),
      make: (backend, arrays) => compute(backend, arrays, record),
      record,
    });
  }

  /** @ignore Any parameter. */
  declare<T extends Disposable>(declaration: ParameterDeclaration<T>): Parameter<T> {
    const slot = this.makeSlot(declaration);
    this.#slots.push(slot);
    return slot;
  }

  /** @ignore Makes the place of a parameter. */
  protected makeSlot<T extends Disposable>(
    { groups, make }: ParameterDeclaration<T>,
  ): ParameterSlot<T> {
    return new Slot(groups.flat(), make);
  }

  /** Leaves arrays alone that a checkpoint may hold without need. */
  ignore(names: RegExp): void {
    this.#ignored.push(names);
  }

  /** Number of elements of all arrays that were declared. */
  get count(): number {
    return this.#slots.flatMap(({ shapes }) => shapes)
      .reduce((sum, [, shape]) => sum + elementCount(shape), 0);
  }

  /** @ignore Loads what has been declared, from a checkpoint that fits. If that fails, all memory is given back. */
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
   * @throws {TypeError} If arrays are missing, misshapen or unknown; it names all of them.
   */
  check(source: ArraySource): void {
    const declared = new Map(this.#slots.flatMap((slot) => [...slot.shapes]));
    const present = new Set(source.names());
    const missing: string[] = [];
    const misshapen: string[] = [];
    for (const [name, shape] of declared) {
      const found = source.shape(name);
      if (!present.has(name) || found === undefined) missing.push(name);
      else if (!fitsShape(found, shape)) {
        misshapen.push(`${name} has shape ${formatShape(found)}, expected ${formatShape(shape)}`);
      }
    }
    const isIgnored = (name: string) => this.#ignored.some((names) => names.test(name));
    const unknown = [...present].filter((name) => !declared.has(name) && !isIgnored(name));
    const problems = [
      ...(missing.length > 0 ? [`missing ${missing.join(", ")}`] : []),
      ...misshapen,
      ...(unknown.length > 0 ? [`unknown ${unknown.join(", ")}`] : []),
    ];
    if (problems.length === 0) return;
    throw new TypeError(
      `Cannot load ${source.description}: its arrays do not fit the config: ${problems.join("; ")}`,
    );
  }

  /** @ignore The arrays that are to be saved, of a model that was loaded from a checkpoint. */
  toSave(checkpoint: ArraySource): ArraySource {
    return checkpoint;
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

/** Computes a tensor of arrays. */
async function compute(
  backend: Backend,
  arrays: readonly HostArray[],
  record: RecordParameter<Tensor>,
): Promise<Tensor> {
  using stack = new DisposableStack();
  const tensors = arrays.map((array) => stack.use(backend.upload(array)));
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

/** Place of a parameter that is kept in the form that operations take. */
class Slot<T extends Disposable> implements ParameterSlot<T> {
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
