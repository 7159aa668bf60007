/**
 * The parameters of a model: declared first, checked against a checkpoint as a whole, then loaded one
 * after the other.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";
import type { Backend, ConvWeight, HostArray, LinearWeight, Tensor } from "../backends/backend.ts";
import { describeName, refuseRange } from "../base/check.ts";
import { Pauses } from "../base/pauses.ts";
import { formatShape } from "../base/format.ts";
import { elementCount, fitsShape } from "../base/shapes.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import {
  type ArrayShapes,
  compute,
  FixedSlot,
  loadFinite,
  type NormParameters,
  type Parameter,
  type ParameterDeclaration,
  type ParameterSlot,
  type RecordParameter,
  upload,
} from "./parameter_slot.ts";

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

/** Most arrays of each kind that an error names. */
const MOST_NAMED = 20;

/** Arrays that a config may ask for beyond those that are there, so that they can be named. */
const MOST_MISSING = 10_000;

/** The type of a layer on which much depends, where others are held in the given one. */
function preciseDType(dtype: WeightDType): WeightDType {
  return dtype === "q8" ? "fp16" : dtype;
}

/** What a model is made after. */
export interface ParametersOrigin {
  /** The config, for error messages: a path or URL. */
  readonly config: string;
  /** The arrays that are there. */
  readonly checkpoint: ArraySource;
}

/** Declares the parameters of a model, loads them and owns their memory. */
export class Parameters implements Disposable {
  readonly #slots: ParameterSlot<Disposable>[] = [];
  readonly #kept: RegExp[] = [];
  readonly #leftOut: RegExp[] = [];
  readonly #quantizable = new Set<string>();
  /** Names of the weights of linear layers that are held in a type of their own, with their layers. */
  readonly #preciseWeights = new Set<string>();
  readonly #preciseLinears: string[] = [];
  #origin: ParametersOrigin | undefined;
  /** Number of arrays of the checkpoint. */
  #arrays = Infinity;
  #declared = 0;

  /** @ignore Sets where numbers of layers and arrays come from; until then they are not limited. */
  limitTo(origin: ParametersOrigin): void {
    this.#origin = origin;
    this.#arrays = origin.checkpoint.names().length;
  }

  /** Names of the arrays that may be stored in int8. */
  get quantizable(): ReadonlySet<string> {
    return this.#quantizable;
  }

  /**
   * The type in which an array is held once it was loaded with a type for linear layers; undefined for
   * those that are made of what is stored, whatever that type.
   */
  heldAs(name: string, dtype: WeightDType): WeightDType | undefined {
    if (this.#quantizable.has(name)) return dtype;
    return this.#preciseWeights.has(name) ? preciseDType(dtype) : undefined;
  }

  /**
   * @ignore What takes the memory of these on paper once it is loaded, and the types to load it with. A
   * model of the last can be recorded.
   */
  onPaper(dtype?: WeightDType): readonly (readonly [Parameters, WeightDType | undefined])[] {
    return [[new Parameters(), dtype]];
  }

  /** Names of the linear layers that may not. */
  get preciseLinears(): readonly string[] {
    return this.#preciseLinears;
  }

  /** @ignore A tensor, widened to float32. */
  tensor(name: string, shape: readonly number[]): Parameter<Tensor> {
    return this.declare({
      groups: [[[name, shape]]],
      make: (backend, [array]) => upload(backend, array!),
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
    for (const [name] of weights) (precise ? this.#preciseWeights : this.#quantizable).add(name);
    const biases = bias ? names.map((name) => [`${name}.bias`, [outFeatures]] as const) : [];
    return this.declare({
      groups: bias ? [weights, biases] : [weights],
      make: (backend, arrays, dtype) =>
        backend.loadLinearWeight(
          arrays.slice(0, names.length),
          arrays.slice(names.length),
          precise && dtype ? preciseDType(dtype) : dtype,
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
    const shape = [outChannels, inChannels, kernelSize, kernelSize];
    return this.declare({
      groups: [[[`${name}.weight`, shape]], [[`${name}.bias`, [outChannels]]]],
      make: (backend, [weight, bias]) => backend.convWeight(weight!, bias!),
      record: (frame, [weight, bias]) => frame.packConv(weight!, { bias: bias! }),
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
    this.#declared += slot.shapes.length;
    this.#expectArrays();
    return slot;
  }

  /** @ignore Makes the place of a parameter. */
  protected makeSlot<T extends Disposable>(
    declaration: ParameterDeclaration<T>,
  ): ParameterSlot<T> {
    return new FixedSlot(declaration);
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
    const declared = this.#shapes();
    const isKept = (name: string) => this.#kept.some((names) => names.test(name));
    return source.names().filter((name) => declared.has(name) || isKept(name));
  }

  #shapes(): Map<string, readonly number[]> {
    return new Map(this.#slots.flatMap((slot) => [...slot.shapes]));
  }

  /**
   * Checks that the checkpoint may have so many layers, before one is made: a number in a config must
   * not decide how long loading takes.
   *
   * @param field Field of the config that says how many.
   * @throws {RangeError} If it has fewer arrays.
   */
  expectLayers(length: number, field: string): void {
    if (this.#origin === undefined) return;
    const { config, checkpoint } = this.#origin;
    if (length <= this.#arrays) return;
    const expected = `at most ${this.#arrays}, the number of arrays of ${checkpoint.description}`;
    refuseRange({ task: `use ${config}`, name: field }, length, expected);
  }

  /** Ends what would declare far more arrays than there are. Some more are named by `check`. */
  #expectArrays(): void {
    const max = this.#arrays + MOST_MISSING;
    if (this.#origin === undefined || this.#declared <= max) return;
    const { config, checkpoint } = this.#origin;
    const subject = { task: `use ${config}`, name: "the number of arrays it asks for" };
    refuseRange(
      subject,
      this.#declared,
      `at most ${max}, about those of ${checkpoint.description}`,
    );
  }

  /** Number of elements of all arrays that were declared. */
  get count(): number {
    return this.#slots.flatMap(({ shapes }) => shapes)
      .reduce((sum, [, shape]) => sum + elementCount(shape), 0);
  }

  /**
   * @ignore Loads what has been declared, from a checkpoint that fits; gives all memory back if it fails.
   *
   * @throws {RangeError} If a value is infinite or no number.
   */
  async load(
    backend: Backend,
    source: ArraySource,
    { dtype, signal }: LoadParametersOptions = {},
  ): Promise<void> {
    // From memory arrays come without a turn of the event loop, and an abort could not act.
    const pauses = new Pauses();
    try {
      for (const slot of this.#slots) {
        const arrays: HostArray[] = [];
        for (const [name] of slot.shapes) {
          await pauses.takeIfDue();
          signal?.throwIfAborted();
          arrays.push(await loadFinite(source, name));
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
   * @throws {TypeError} If arrays are missing, misshapen or cannot be read; it names the first of them,
   *   and of those that are not needed, which may be the missing ones under other names.
   */
  check(source: ArraySource): string[] {
    const declared = this.#shapes();
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
      ...(missing.length > 0 ? [`missing ${someOf(missing)}`] : []),
      ...(unfit.length > 0 ? [someOf(unfit)] : []),
    ];
    if (problems.length === 0) return unknown;
    if (unknown.length > 0) problems.push(`unknown ${listNames(unknown)}`);
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

  /**
   * Layers named 0, 1, 2, …, as in PyTorch's `ModuleList`.
   *
   * @param field Field of the config that says how many there are.
   * @throws {RangeError} If the checkpoint has fewer arrays, before any is made.
   */
  list<T>(
    length: number,
    field: string,
    make: (scope: ParameterScope, index: number) => T,
  ): T[] {
    this.parameters.expectLayers(length, field);
    return Array.from({ length }, (_, i) => make(this.at(i), i));
  }
}

/** The first of many texts. */
function someOf(texts: readonly string[]): string {
  const more = texts.length - MOST_NAMED;
  return `${texts.slice(0, MOST_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Names of arrays for people. They come from files: quoted if they are none of a model's, and cut. */
export function listNames(names: readonly string[]): string {
  return someOf(names.map(describeName));
}
