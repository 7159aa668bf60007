/**
 * What the names in the pickles of PyTorch stand for, and how to find the tensors in them.
 *
 * @module
 */

import { elementCount } from "../../base/shapes.ts";
import type { StoredDType } from "../../base/dtypes.ts";
import { describeValue } from "../../base/check.ts";
import type { Steps } from "../../base/pauses.ts";
import { StorageType, TorchDType, typeNames } from "./torch_dtypes.ts";
import { PickleFunction, type PickleNames, Tuple } from "./unpickler.ts";

/** The memory of one or more tensors, as a pickle describes it. */
export class TorchStorage {
  /** Name of its record in the file. */
  readonly key: string;
  /** Type of the elements that it is counted in. */
  readonly dtype: TorchDType;
  /** Number of elements. */
  readonly length: number;

  /** Holds the description. */
  constructor(key: string, dtype: TorchDType, length: number) {
    this.key = key;
    this.dtype = dtype;
    this.length = length;
  }

  /** Length in bytes. */
  get bytes(): number {
    return this.length * this.dtype.bytes;
  }
}

/** How a tensor views its storage. */
export interface TensorView {
  /** Where its elements are. */
  readonly storage: TorchStorage;
  /** Type of its elements. */
  readonly dtype: TorchDType;
  /** Index of its first element in the storage, in elements of its own type. */
  readonly offset: number;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Steps between the elements of each dimension, in elements. */
  readonly strides: readonly number[];
  /** Whether its elements are those of the storage with the other sign. */
  readonly negative: boolean;
  /** Why its elements cannot be read, if so. */
  readonly unreadable: string | undefined;
}

/** A tensor, as a pickle describes it: a view of a storage. */
export class TorchTensor {
  /** How it views the storage. */
  readonly view: TensorView;

  /** Holds the description. */
  constructor(view: TensorView) {
    this.view = view;
  }
}

/** Something harmless that is not wanted: a device, an element type, a number of NumPy. */
class Opaque {
}

/**
 * Names whose values are not wanted but occur beside tensors, in training checkpoints above all. They
 * may be called, and nothing happens.
 */
const OPAQUE_NAMES: readonly string[] = [
  "torch.Size",
  "torch.device",
  // Classes of tensors that have attributes.
  ...["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"],
  ...["torch.nn.parameter.Buffer", "torch.nn.Parameter"],
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
];

/** An expanded tensor may have as many elements as this although its storage has few. */
const MAX_EXPANDED = 2 ** 20;

/** All tensors of a file may read so many times the elements that there are. */
const MAX_REPETITION = 8;

/** Most dimensions that a tensor may have. */
const MAX_DIMENSIONS = 16;

/** Most marks of a special view: PyTorch knows two. A dict of more may stand behind many tensors. */
const MAX_MARKS = 16;

/** The functions that make tensors with attributes, by the beginning of their names. */
const WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type";

/** Most values that are looked at in search of tensors. */
const MAX_VALUES = 1_000_000;

/** Deepest nesting in which tensors are looked for: Python cannot write deeper ones. */
const MAX_DEPTH = 500;

/** Longest name of a tensor. */
const MAX_NAME_LENGTH = 4000;

/** Most characters of all names of tensors: one long key may lead to many. */
const MAX_NAME_CHARACTERS = 2 ** 24;

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
      ...typeNames(),
      rebuild("collections.OrderedDict", (args) => this.#emptyDict(args)),
      rebuild("collections.defaultdict", () => new Map()),
      rebuild("torch._utils._rebuild_tensor", (args) => this.#tensor(args)),
      rebuild("torch._utils._rebuild_tensor_v2", (args) => this.#tensor(args, undefined, args[6])),
      rebuild("torch._utils._rebuild_tensor_v3", (args) => this.#tensor(args, args[6], args[7])),
      rebuild(WITH_ATTRIBUTES, (args) => this.#withAttributes(args)),
      rebuild(`${WITH_ATTRIBUTES}_v2`, (args) => this.#withAttributes(args)),
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
    const { dtype } = type;
    const known = this.storages.get(key);
    if (!known) {
      const storage = new TorchStorage(key, dtype, length);
      this.storages.set(key, storage);
      return storage;
    }
    if (known.dtype !== dtype || known.length !== length) {
      throw this.#damaged(`it describes the storage ${describeValue(key)} in two ways`);
    }
    return known;
  }

  /**
   * Arguments: storage, offset, shape, strides, and others that do not matter here.
   *
   * @param type Type of the elements, if it is not that of the storage.
   * @param metadata Marks of special views.
   */
  #tensor(
    [storage, offset, shape, strides]: readonly unknown[],
    type?: unknown,
    metadata?: unknown,
  ): TorchTensor {
    const sound = storage instanceof TorchStorage && isNatural(offset) && isShape(shape) &&
      isShape(strides) && (type === undefined || type instanceof TorchDType);
    if (!sound) throw this.#damaged("it has a malformed tensor");
    const dtype = type ?? storage.dtype;
    const marks = metadata instanceof Map ? metadata : new Map<unknown, unknown>();
    if (marks.size > MAX_MARKS) throw this.#damaged("it has a malformed tensor");
    const negative = marks.get("neg") === true;
    const unreadable = unreadableReason(dtype, marks);
    const lengths = { shape: shape.items, strides: strides.items };
    const view = { storage, dtype, offset, ...lengths, negative, unreadable };
    const count = elementCount(view.shape);
    const held = storage.bytes / dtype.bytes;
    const fits = view.shape.length === view.strides.length &&
      (count === 0 || count > 0 && offset + spanOf(view) <= held);
    if (!fits) throw this.#damaged(`a tensor of shape (${view.shape}) leads out of its storage`);
    if (count > Math.max(held, MAX_EXPANDED)) {
      throw this.#damaged(`a tensor of shape (${view.shape}) repeats too few elements`);
    }
    return new TorchTensor(view);
  }

  /** Arguments: the function that makes the tensor, its class, the arguments, the attributes. */
  #withAttributes([make, _type, args]: readonly unknown[]): TorchTensor {
    // Python does not nest them, and a long chain would overflow the stack.
    const isPlain = make instanceof PickleFunction && !make.name.startsWith(WITH_ATTRIBUTES);
    const tensor = isPlain && args instanceof Tuple ? make.call(args.items) : undefined;
    if (tensor instanceof TorchTensor) return tensor;
    throw this.#damaged("it has a malformed tensor with attributes");
  }

  #emptyDict(args: readonly unknown[]): Map<unknown, unknown> {
    if (args.length > 0) throw this.#damaged("it has an OrderedDict in the form of Python 2");
    return new Map();
  }

  #damaged(what: string): SyntaxError {
    return new SyntaxError(`Cannot read ${this.#description}: ${what}`);
  }
}

/** Types that can be given the other sign. */
const SIGNED: readonly (StoredDType | undefined)[] = ["F64", "F32", "F16", "BF16"];

/** Why the elements of a tensor cannot be read, if so. */
function unreadableReason(
  { name, stored }: TorchDType,
  marks: ReadonlyMap<unknown, unknown>,
): string | undefined {
  if (stored === undefined) return `it is ${name}`;
  if (marks.get("neg") === true && !SIGNED.includes(stored)) {
    return `it is a negative view of ${name}`;
  }
  for (const [mark, value] of marks) {
    if (mark !== "neg" && value !== false) return `it is a view of the kind ${describeValue(mark)}`;
  }
  return undefined;
}

/** Number of elements from the first to the last of a tensor that is not empty, in its storage. */
export function spanOf({ shape, strides }: Pick<TensorView, "shape" | "strides">): number {
  return shape.reduce((span, length, i) => span + (length - 1) * (strides[i] ?? 0), 1);
}

/** Values between two places where reading may be interrupted. */
const STEP = 1000;

/**
 * The tensors in the value of a pickle by name: the keys that lead to each, joined by dots. A
 * `state_dict` in a dict without tensors is taken in its place. A single tensor is named `tensor`.
 *
 * @throws {SyntaxError} If there is none, or the value is too big or deep.
 */
export function* tensorsOf(value: unknown, description: string): Steps<Map<string, TorchTensor>> {
  if (value instanceof TorchTensor) return new Map([["tensor", value]]);
  const tensors = new Map<string, TorchTensor>();
  const refuse = () => new SyntaxError(`Cannot read ${description}: it is nested too deeply`);
  let [count, characters] = [0, 0];
  const visit = function* (value: unknown, name: string, depth: number): Steps<void> {
    if (depth > MAX_DEPTH || name.length > MAX_NAME_LENGTH) throw refuse();
    if (value instanceof TorchTensor) {
      characters += name.length;
      if (characters > MAX_NAME_CHARACTERS) throw refuse();
      if (tensors.has(name)) {
        throw new SyntaxError(`Cannot read ${description}: ${describeValue(name)} occurs twice`);
      }
      tensors.set(name, value);
    }
    for (const [key, child] of childrenOf(value)) {
      if (count % STEP === 0) yield;
      // Also what leads to no tensor, as one dict may stand in many places.
      if (++count > MAX_VALUES) throw refuse();
      if (typeof key !== "string" && typeof key !== "number") continue;
      yield* visit(child, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  yield* visit(stateDictOf(value), "", 0);
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
  for (const { view } of tensors) {
    storages.add(view.storage);
    const count = elementCount(view.shape);
    if (count > 0) read += Math.max(count, spanOf(view));
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

/** Elements of dicts, lists and tuples. */
function childrenOf(value: unknown): Iterable<[key: unknown, value: unknown]> {
  if (value instanceof Map) return value;
  if (Array.isArray(value)) return value.entries();
  return value instanceof Tuple ? value.items.entries() : [];
}

function isNatural(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isShape(value: unknown): value is Tuple & { items: readonly number[] } {
  return value instanceof Tuple && value.items.length <= MAX_DIMENSIONS &&
    value.items.every(isNatural);
}
