/**
 * What the names in the pickles of PyTorch stand for, and how to find the tensors in them.
 *
 * @module
 */

import { elementCount } from "../../base/shapes.ts";
import type { StoredDType } from "../../base/dtypes.ts";
import { describeValue } from "../../base/check.ts";
import { PickleFunction, type PickleNames, Tuple } from "./unpickler.ts";

/** The memory of one or more tensors, as a pickle describes it. */
export interface TorchStorage {
  /** Name of its record in the file. */
  readonly key: string;
  /** Element type. */
  readonly dtype: StoredDType;
  /** Number of elements. */
  readonly length: number;
}

/** A tensor, as a pickle describes it: a view of a storage. */
export class TorchTensor {
  /** Where its elements are. */
  readonly storage: TorchStorage;
  /** Index of its first element in the storage. */
  readonly offset: number;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Steps between the elements of each dimension, in elements. */
  readonly strides: readonly number[];

  /** Holds the description. */
  constructor(
    storage: TorchStorage,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** Something harmless that is not wanted: a device, an element type, a number of NumPy. */
class Opaque {
}

/** A class of storages, which says what the elements are. */
class StorageType {
  readonly dtype: StoredDType;

  constructor(dtype: StoredDType) {
    this.dtype = dtype;
  }
}

const STORAGE_TYPES: Readonly<Record<string, StoredDType>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/**
 * Names whose values are not wanted but occur beside tensors, in training checkpoints above all. They
 * may be called, and nothing happens.
 */
const OPAQUE_NAMES: readonly string[] = [
  ...["float64", "double", "float32", "float", "float16", "half", "bfloat16", "int64", "long"],
  ...["int32", "int", "int16", "short", "int8", "uint8", "bool", "Size", "device"],
].map((name) => `torch.${name}`).concat([
  "_codecs.encode",
  ...["bool", "bytearray", "complex", "dict", "float", "int", "list", "set", "str", "tuple"]
    .flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]),
  "collections.Counter",
  "numpy.dtype",
  "numpy.core.multiarray.scalar",
  "numpy._core.multiarray.scalar",
  // Keys under which PyTorch Lightning keeps the state of what saved the checkpoint.
  "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
  "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
]);

/** An expanded tensor may have as many elements as this although its storage has few. */
const MAX_EXPANDED = 2 ** 20;

/** All tensors of a file may read so many times the elements that there are. */
const MAX_REPETITION = 8;

/** Most dimensions that a tensor may have. */
const MAX_DIMENSIONS = 16;

/** Most values that are looked at in search of tensors. */
const MAX_VALUES = 1_000_000;

/** Deepest nesting in which tensors are looked for. */
const MAX_DEPTH = 32;

/** Longest name of a tensor. */
const MAX_NAME_LENGTH = 1000;

/** The names that a torch file may use, and the storages that it mentions. */
export class TorchNames implements PickleNames {
  /** The storages by key, in the order of their first mention. */
  readonly storages = new Map<string, TorchStorage>();
  readonly #description: string;
  readonly #names: ReadonlyMap<string, unknown>;

  /**
   * Begins without any storage.
   *
   * @param description What is being read, for error messages.
   */
  constructor(description: string) {
    this.#description = description;
    const rebuild = (name: string, call: (args: readonly unknown[]) => unknown) =>
      [name, new PickleFunction(name, call)] as const;
    this.#names = new Map<string, unknown>([
      ...OPAQUE_NAMES.map((name) => rebuild(name, () => new Opaque())),
      ...Object.entries(STORAGE_TYPES)
        .map(([name, dtype]) => [`torch.${name}`, new StorageType(dtype)] as const),
      rebuild("collections.OrderedDict", (args) => this.#emptyDict(args)),
      rebuild("collections.defaultdict", () => new Map()),
      rebuild("torch._utils._rebuild_tensor", (args) => this.#tensor(args)),
      rebuild("torch._utils._rebuild_tensor_v2", (args) => this.#tensor(args)),
      rebuild("torch._utils._rebuild_parameter", ([data]) => data),
      rebuild("torch._utils._rebuild_parameter_with_state", ([data]) => data),
    ]);
  }

  /** Meaning of a global name, or undefined if it is not allowed. */
  find(module: string, name: string): unknown {
    return this.#names.get(`${module}.${name}`);
  }

  /** The storage that a persistent id names. */
  persistent(id: unknown): TorchStorage {
    const [kind, type, key, _location, length, view] = id instanceof Tuple ? id.items : [];
    const sound = kind === "storage" && type instanceof StorageType && typeof key === "string" &&
      isNatural(length);
    if (!sound) throw this.#damaged("it mentions a malformed storage");
    if (view !== undefined && view !== null) {
      throw new TypeError(
        `Cannot read ${this.#description}: its storages are views of others, as before PyTorch 0.4`,
      );
    }
    const known = this.storages.get(key);
    if (!known) {
      const storage = { key, dtype: type.dtype, length };
      this.storages.set(key, storage);
      return storage;
    }
    if (known.dtype !== type.dtype || known.length !== length) {
      throw this.#damaged(`it describes the storage ${describeValue(key)} in two ways`);
    }
    return known;
  }

  /** Arguments: storage, offset, shape, strides, and others that do not matter here. */
  #tensor([storage, offset, shape, strides]: readonly unknown[]): TorchTensor {
    if (!isStorage(storage) || !isNatural(offset) || !isShape(shape) || !isShape(strides)) {
      throw this.#damaged("it has a malformed tensor");
    }
    const tensor = new TorchTensor(storage, offset, shape.items, strides.items);
    const count = elementCount(tensor.shape);
    const fits = tensor.shape.length === tensor.strides.length &&
      (count === 0 || count > 0 && offset + spanOf(tensor) <= storage.length);
    if (!fits) throw this.#damaged(`a tensor of shape (${tensor.shape}) leads out of its storage`);
    if (count > Math.max(storage.length, MAX_EXPANDED)) {
      throw this.#damaged(`a tensor of shape (${tensor.shape}) repeats too few elements`);
    }
    return tensor;
  }

  #emptyDict(args: readonly unknown[]): Map<unknown, unknown> {
    if (args.length > 0) throw this.#damaged("it has an OrderedDict in the form of Python 2");
    return new Map();
  }

  #damaged(what: string): SyntaxError {
    return new SyntaxError(`Cannot read ${this.#description}: ${what}`);
  }
}

/** Number of elements from the first to the last of a tensor that is not empty, in its storage. */
export function spanOf({ shape, strides }: TorchTensor): number {
  return shape.reduce((span, length, i) => span + (length - 1) * (strides[i] ?? 0), 1);
}

/**
 * The tensors in the value of a pickle by name: the keys that lead to each, joined by dots. A
 * `state_dict` in a dict without tensors is taken in its place. A single tensor is named `tensor`.
 *
 * @throws {SyntaxError} If there is none, or the value is too big or deep.
 */
export function tensorsOf(value: unknown, description: string): Map<string, TorchTensor> {
  if (value instanceof TorchTensor) return new Map([["tensor", value]]);
  const tensors = new Map<string, TorchTensor>();
  let count = 0;
  const visit = (value: unknown, name: string, depth: number): void => {
    if (++count > MAX_VALUES || depth > MAX_DEPTH || name.length > MAX_NAME_LENGTH) {
      throw new SyntaxError(`Cannot read ${description}: it is nested too deeply`);
    }
    if (value instanceof TorchTensor) {
      if (tensors.has(name)) {
        throw new SyntaxError(`Cannot read ${description}: ${describeValue(name)} occurs twice`);
      }
      tensors.set(name, value);
    }
    for (const [key, child] of childrenOf(value)) {
      visit(child, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  visit(stateDictOf(value), "", 0);
  checkRepetition(tensors.values(), description);
  if (tensors.size === 0) {
    throw new SyntaxError(`Cannot read ${description}: it is not a dict of tensors`);
  }
  return tensors;
}

/** Refuses views that together read the storages over and over: loading follows the size of the file. */
function checkRepetition(tensors: Iterable<TorchTensor>, description: string): void {
  const storages = new Set<TorchStorage>();
  let read = 0;
  for (const tensor of tensors) {
    storages.add(tensor.storage);
    const count = elementCount(tensor.shape);
    if (count > 0) read += Math.max(count, spanOf(tensor));
  }
  const held = [...storages].reduce((sum, { length }) => sum + length, 0);
  const max = MAX_EXPANDED + MAX_REPETITION * held;
  if (read <= max) return;
  throw new SyntaxError(
    `Cannot read ${description}: its tensors read ${read} elements of storages that hold ${held}, ` +
      `expected at most ${max}`,
  );
}

function stateDictOf(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  for (const child of value.values()) if (child instanceof TorchTensor) return value;
  const inner: unknown = value.get("state_dict");
  return inner instanceof Map ? inner : value;
}

/** Elements of dicts, lists and tuples that can lead to tensors. */
function* childrenOf(value: unknown): Iterable<[key: string | number, value: unknown]> {
  if (value instanceof Map) {
    for (const [key, child] of value) {
      if (typeof key === "string" || typeof key === "number") yield [key, child];
    }
  } else if (Array.isArray(value)) yield* value.entries();
  else if (value instanceof Tuple) yield* value.items.entries();
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === "object" && value !== null && "key" in value && "dtype" in value &&
    "length" in value;
}

function isNatural(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isShape(value: unknown): value is Tuple & { items: readonly number[] } {
  return value instanceof Tuple && value.items.length <= MAX_DIMENSIONS &&
    value.items.every(isNatural);
}
