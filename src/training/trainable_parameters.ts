/**
 * Parameters that can change.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backends/backend.ts";
import { float32Values } from "../backends/host_arrays.ts";
import { elementCount } from "../base/shapes.ts";
import type { ArraySource } from "../checkpoints/arrays.ts";
import type { ArrayShapes, ParameterDeclaration, ParameterSlot } from "../models/parameter_slot.ts";
import { Parameters } from "../models/parameters.ts";

/** A float32 tensor that is trained: an array of a checkpoint, or several below each other. */
export interface TrainableTensor {
  /** Names and shapes of its arrays, in order. */
  readonly arrays: readonly (readonly [name: string, shape: readonly number[]])[];
  /** Their elements, in the memory of the device. */
  readonly tensor: Tensor;
}

/**
 * The parameters of a model that is trained: float32 arrays in the memory of the device, of which each
 * frame makes what operations take, so that gradients can go through that.
 *
 * A model is made with them by its `create` or `fromPretrained`, which give it the checkpoint's values.
 * Before it is recorded on a frame, {@linkcode TrainableParameters.record} has to be.
 */
export class TrainableParameters extends Parameters {
  readonly #trainable: TrainableSlot<Disposable>[] = [];

  /** All tensors, in the order of their declaration; none before the model is loaded. */
  get tensors(): readonly TrainableTensor[] {
    return this.#trainable.flatMap(({ tensors }) => tensors);
  }

  /**
   * Records on a frame what the operations of the model take. The model can then be recorded on that
   * frame, and computes with the values that the parameters have when the frame is run.
   *
   * @throws {ReferenceError} If the model is not loaded, or was disposed of.
   */
  record(frame: Frame): void {
    for (const slot of this.#trainable) slot.record(frame);
  }

  /** @ignore They lie there as tensors, and once more, packed, in a frame that they are recorded on. */
  override onPaper(): ReturnType<Parameters["onPaper"]> {
    return [[new TrainableParameters(), undefined], [new Parameters(), "fp32"]];
  }

  /** @ignore The arrays as they are now, and those of the checkpoint that were not declared. */
  override toSave(checkpoint: ArraySource): ArraySource {
    const places = new Map(this.tensors.flatMap(placesOf));
    return {
      description: checkpoint.description,
      names: () => checkpoint.names(),
      shape: (name) => places.get(name)?.shape ?? checkpoint.shape(name),
      dtype: (name) => places.has(name) ? "F32" : checkpoint.dtype(name),
      unreadable: (name) => places.has(name) ? undefined : checkpoint.unreadable?.(name),
      load: async (name) => {
        const place = places.get(name);
        return place === undefined ? await checkpoint.load(name) : await read(place);
      },
      loadStored: async (name) => {
        const place = places.get(name);
        if (place === undefined) return await checkpoint.loadStored(name);
        const { shape, data } = await read(place);
        return { dtype: "F32", shape, bytes: new Uint8Array(data.buffer) };
      },
      release: () => checkpoint.release(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  /** @ignore Makes the place of a parameter. */
  protected override makeSlot<T extends Disposable>(
    declaration: ParameterDeclaration<T>,
  ): ParameterSlot<T> {
    const slot = new TrainableSlot(declaration);
    this.#trainable.push(slot);
    return slot;
  }
}

/** Where an array lies in the tensor of several. */
interface ArrayPlace {
  readonly tensor: Tensor;
  /** Elements before it. */
  readonly offset: number;
  readonly shape: readonly number[];
}

function placesOf({ arrays, tensor }: TrainableTensor): [name: string, place: ArrayPlace][] {
  let next = 0;
  return arrays.map(([name, shape]) => {
    const offset = next;
    next += elementCount(shape);
    return [name, { tensor, offset, shape }];
  });
}

/** The elements of an array, as they are now. */
async function read({ tensor, offset, shape }: ArrayPlace) {
  const data = (await tensor.data()).slice(offset, offset + elementCount(shape));
  return { dtype: "f32", shape, data } as const;
}

/** Place of a parameter that each frame makes anew. */
class TrainableSlot<T extends Disposable> implements ParameterSlot<T> {
  readonly #declaration: ParameterDeclaration<T>;
  #tensors: readonly TrainableTensor[] | undefined;
  #value: T | undefined;

  constructor(declaration: ParameterDeclaration<T>) {
    this.#declaration = declaration;
  }

  get shapes(): ArrayShapes {
    return this.#declaration.groups.flat();
  }

  get tensors(): readonly TrainableTensor[] {
    return this.#tensors ?? [];
  }

  get value(): T {
    if (this.#value === undefined) {
      throw new ReferenceError(
        `Cannot use ${this.shapes[0]?.[0]}: its TrainableParameters are not recorded on a frame`,
      );
    }
    return this.#value;
  }

  fill(backend: Backend, arrays: readonly HostArray[]): Promise<void> {
    let first = 0;
    this.#tensors = this.#declaration.groups.map((group) => {
      const values = arrays.slice(first, first += group.length);
      return { arrays: group, tensor: backend.tensor(joined(values), joinedShape(group)) };
    });
    return Promise.resolve();
  }

  record(frame: Frame): void {
    if (this.#tensors === undefined) {
      throw new ReferenceError(
        `Cannot record ${this.shapes[0]?.[0]}: the model was disposed of, or is not loaded`,
      );
    }
    this.#value = this.#declaration.record(frame, this.#tensors.map(({ tensor }) => tensor));
  }

  empty(): void {
    for (const { tensor } of this.#tensors ?? []) tensor.dispose();
    this.#tensors = undefined;
    this.#value = undefined;
  }
}

/** Elements of arrays, one behind the other. */
function joined(arrays: readonly HostArray[]): Float32Array {
  const out = new Float32Array(arrays.reduce((sum, { shape }) => sum + elementCount(shape), 0));
  let at = 0;
  for (const array of arrays) {
    out.set(float32Values(array), at);
    at += elementCount(array.shape);
  }
  return out;
}

/** Shape of arrays that are joined along their first dimension. */
function joinedShape(group: ArrayShapes): readonly number[] {
  const [, [, ...inner]] = group[0]!;
  return [group.reduce((sum, [, [rows]]) => sum + rows!, 0), ...inner];
}
