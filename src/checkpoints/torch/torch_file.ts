/**
 * Files that `torch.save` wrote, in the zip format (since PyTorch 1.6) and in the one before.
 *
 * @module
 */

import type { HostArray } from "../../backends/backend.ts";
import { elementCount } from "../../base/shapes.ts";
import type { StoredDType } from "../../base/dtypes.ts";
import { type ArraySource, hostArray, type StoredArray } from "../arrays.ts";
import { describeValue } from "../../base/check.ts";
import { inTurns, Pauses } from "../../base/pauses.ts";
import { isZip } from "./file_kind.ts";
import { PickleEndError } from "./pickle_reader.ts";
import type { FileSource } from "../../files/source.ts";
import {
  spanOf,
  tensorsOf,
  type TensorView,
  TorchNames,
  type TorchStorage,
  type TorchTensor,
} from "./torch_pickle.ts";
import { type PickleNames, unpickle } from "./unpickler.ts";
import { ZipArchive } from "./zip.ts";

/** Where the bytes of storages come from. */
interface Storages {
  /** Reads a range of a storage, in bytes. */
  read(
    storage: TorchStorage,
    offset: number,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** Lets go of what is kept to make reading faster. */
  release(): void;
}

/** Longest pickle that is read: it holds the names and shapes of the tensors, not their elements. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;

/** Unpacked storages with several views may take this, and a multiple of the file beside. */
const MAX_KEPT_BYTES = 64 * 2 ** 20;
const MAX_KEPT_RATIO = 4;

/** Bytes that are read first of a file in the old format. */
const FIRST_BYTES = 2 ** 20;

/** First value in a file of the old format. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;

/** Second value in a file of the old format. */
const LEGACY_PROTOCOL = 1001;

/** Bytes that are copied between two looks at the clock. */
const PAUSE_BYTES = 2 ** 18;

/** Bytes before a storage in the old format: its number of elements. */
const LEGACY_PREFIX_BYTES = 8;

/**
 * Opens a file of tensors that `torch.save` wrote. Nothing in it is executed: names other than those
 * that tensors need are refused. First only the descriptions of the tensors are read, and later each
 * tensor when it is asked for. The file is closed with the source, and if it cannot be read.
 *
 * Tensors in nested dicts and lists get the keys that lead to them, joined by dots, as name.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If it uses a name that is not allowed, or something that is not supported.
 */
export async function openTorchFile(file: FileSource): Promise<ArraySource> {
  try {
    const prefix = await file.read(0, Math.min(4, file.size));
    return isZip(prefix) ? await openZipFormat(file) : await openLegacyFormat(file);
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

async function openZipFormat(file: FileSource): Promise<ArraySource> {
  const { description } = file;
  const archive = await ZipArchive.open(file);
  const pickles = archive.names().filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickleName] = pickles;
  if (pickleName === undefined || pickles.length > 1) {
    throw new SyntaxError(`Cannot read ${description}: expected one data.pkl in it`);
  }
  const root = pickleName.slice(0, -"data.pkl".length);
  await checkByteOrder(archive, `${root}byteorder`, description);
  const bytes = await archive.read(pickleName, MAX_PICKLE_BYTES);
  const names = new TorchNames(description);
  const { value } = await inTurns(unpickle(bytes, 0, description, names));
  for (const { key, bytes, length } of names.storages.values()) {
    const size = archive.size(`${root}data/${key}`);
    if (size !== bytes) {
      throw new SyntaxError(
        `Cannot read ${description}: the storage ${describeValue(key)} of ${length} elements has ${
          size ?? "no"
        } bytes`,
      );
    }
  }
  const tensors = await inTurns(tensorsOf(value, description));
  const shared = sharedStorages(tensors.values());
  const packed = [...shared].map(({ key }) => `${root}data/${key}`)
    .filter((name) => archive.isPacked(name));
  const storages = new UnpackedStorages(archive, packed, file);
  return new TorchFile(file, tensors, {
    read: ({ key }, offset, length) => storages.read(`${root}data/${key}`, offset, length),
    release: () => storages.release(),
  });
}

/** The storages of which more than one tensor is a view. */
function sharedStorages(tensors: Iterable<TorchTensor>): Set<TorchStorage> {
  const seen = new Set<TorchStorage>();
  const shared = new Set<TorchStorage>();
  for (const { view: { storage } } of tensors) (seen.has(storage) ? shared : seen).add(storage);
  return shared;
}

/**
 * Storages in an archive. A packed one with many views is unpacked once and kept, as each view would
 * unpack it again.
 */
class UnpackedStorages {
  readonly #archive: ZipArchive;
  readonly #packed: ReadonlySet<string>;
  readonly #kept = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

  /**
   * @param packed Names of packed storages with several views.
   * @throws {SyntaxError} If they unpack to far more than the file holds.
   */
  constructor(archive: ZipArchive, packed: readonly string[], { size, description }: FileSource) {
    this.#archive = archive;
    this.#packed = new Set(packed);
    const bytes = packed.reduce((sum, name) => sum + archive.size(name)!, 0);
    const max = MAX_KEPT_BYTES + MAX_KEPT_RATIO * size;
    if (bytes > max) {
      throw new SyntaxError(
        `Cannot read ${description}: storages that tensors share unpack to ${bytes} bytes, expected ` +
          `at most ${max} of a file of ${size}`,
      );
    }
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.#packed.has(name)) return await this.#archive.readRange(name, offset, length);
    let whole = this.#kept.get(name);
    if (whole === undefined) {
      whole = this.#archive.readRange(name, 0, this.#archive.size(name)!);
      this.#kept.set(name, whole);
      whole.catch(() => this.#kept.delete(name));
    }
    return (await whole).slice(offset, offset + length);
  }

  release(): void {
    this.#kept.clear();
  }
}

async function checkByteOrder(
  archive: ZipArchive,
  name: string,
  description: string,
): Promise<void> {
  if (archive.size(name) === undefined) return;
  const order = new TextDecoder().decode(await archive.read(name, 16));
  if (order !== "little") {
    throw new TypeError(
      `Cannot read ${description}: its byte order is ${describeValue(order)}, expected little`,
    );
  }
}

async function openLegacyFormat(file: FileSource): Promise<ArraySource> {
  const { description } = file;
  const { value, keys, names, end } = await readLegacyPickles(file);
  const offsets = new Map<string, number>();
  let offset = end;
  for (const key of keys) {
    const storage = typeof key === "string" ? names.storages.get(key) : undefined;
    if (!storage || offsets.has(storage.key)) {
      throw new SyntaxError(`Cannot read ${description}: its list of storages is damaged`);
    }
    offsets.set(storage.key, offset + LEGACY_PREFIX_BYTES);
    offset += LEGACY_PREFIX_BYTES + storage.bytes;
  }
  if (offset > file.size || offsets.size !== names.storages.size) {
    throw new SyntaxError(
      `Cannot read ${description}: its storages need ${offset} bytes, the file is ${file.size}`,
    );
  }
  const read: Storages["read"] = async (storage, begin, length) => {
    const offset = offsets.get(storage.key) ?? 0;
    const prefix = await file.read(offset - LEGACY_PREFIX_BYTES, LEGACY_PREFIX_BYTES);
    if (new DataView(prefix.buffer).getBigUint64(0, true) !== BigInt(storage.length)) {
      throw new SyntaxError(
        `Cannot read ${description}: the storage ${describeValue(storage.key)} is damaged`,
      );
    }
    return await file.read(offset + begin, length);
  };
  const tensors = await inTurns(tensorsOf(value, description));
  return new TorchFile(file, tensors, { read, release: () => {} });
}

/** What the pickles of a file in the old format say, and where they end. */
interface LegacyPickles {
  readonly value: unknown;
  readonly keys: readonly unknown[];
  readonly names: TorchNames;
  readonly end: number;
}

/** The length of the pickles is not known: takes more of the file until they are complete. */
async function readLegacyPickles(file: FileSource): Promise<LegacyPickles> {
  let length = Math.min(file.size, FIRST_BYTES);
  while (true) {
    const bytes = await file.read(0, length);
    try {
      return await parseLegacyPickles(bytes, file.description);
    } catch (error) {
      const more = Math.min(file.size, length * 4, MAX_PICKLE_BYTES);
      if (!(error instanceof PickleEndError) || more === length) throw error;
      length = more;
    }
  }
}

async function parseLegacyPickles(
  bytes: Uint8Array,
  description: string,
): Promise<LegacyPickles> {
  const nothing: PickleNames = { find: () => undefined, persistent: () => undefined };
  let end = 0;
  const next = async (names: PickleNames): Promise<unknown> => {
    const result = await inTurns(unpickle(bytes, end, description, names));
    end = result.end;
    return result.value;
  };
  if (bytes[0] !== 0x80 || await next(nothing) !== LEGACY_MAGIC) {
    throw new SyntaxError(`Cannot read ${description}: torch.save did not write it`);
  }
  const protocol = await next(nothing);
  const system = await next(nothing);
  if (protocol !== LEGACY_PROTOCOL || !(system instanceof Map)) {
    throw new SyntaxError(`Cannot read ${description}: its header is damaged`);
  }
  if (system.get("little_endian") !== true) {
    throw new TypeError(`Cannot read ${description}: its byte order is big, expected little`);
  }
  const names = new TorchNames(description);
  const value = await next(names);
  const keys = await next(nothing);
  if (!Array.isArray(keys)) {
    throw new SyntaxError(`Cannot read ${description}: its list of storages is damaged`);
  }
  return { value, keys, names, end };
}

class TorchFile implements ArraySource {
  readonly #file: FileSource;
  readonly #tensors: ReadonlyMap<string, TorchTensor>;
  readonly #storages: Storages;

  constructor(
    file: FileSource,
    tensors: ReadonlyMap<string, TorchTensor>,
    storages: Storages,
  ) {
    this.#file = file;
    this.#tensors = tensors;
    this.#storages = storages;
  }

  get description(): string {
    return this.#file.description;
  }

  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  shape(name: string): readonly number[] | undefined {
    return this.#tensors.get(name)?.view.shape;
  }

  dtype(name: string): StoredDType | undefined {
    return this.#tensors.get(name)?.view.dtype.stored;
  }

  unreadable(name: string): string | undefined {
    return this.#tensors.get(name)?.view.unreadable;
  }

  async load(name: string): Promise<HostArray> {
    return hostArray(await this.loadStored(name), `${describeValue(name)} of ${this.description}`);
  }

  async loadStored(name: string): Promise<StoredArray> {
    const tensor = this.#tensors.get(name);
    if (!tensor) {
      throw new RangeError(
        `Cannot load ${describeValue(name)}: ${this.description} has no such array`,
      );
    }
    const { view } = tensor;
    const { dtype: { stored: dtype, bytes: size }, shape, offset } = view;
    if (dtype === undefined || view.unreadable !== undefined) {
      const where = `${describeValue(name)} of ${this.description}`;
      throw new TypeError(`Cannot load ${where}: ${view.unreadable}`);
    }
    if (elementCount(shape) === 0) return { dtype, shape, bytes: new Uint8Array() };
    const span = await this.#storages.read(view.storage, offset * size, spanOf(view) * size);
    const bytes = isContiguous(view) ? span : await gather(view, span, size);
    if (view.negative) negate(bytes, size);
    return { dtype, shape, bytes };
  }

  release(): void {
    this.#storages.release();
    this.#file.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/** Whether the elements lie one after another in row-major order. */
function isContiguous({ shape, strides }: TensorView): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const length = shape[i] ?? 0;
    if (length !== 1 && strides[i] !== expected) return false;
    expected *= length;
  }
  return true;
}

/** Changes the sign of floating point numbers, which is their last bit. */
function negate(bytes: Uint8Array, size: number): void {
  for (let i = size - 1; i < bytes.length; i += size) bytes[i]! ^= 0x80;
}

/** Copies the elements of a tensor that is not empty into row-major order. */
async function gather(
  { shape, strides }: TensorView,
  span: Uint8Array,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(elementCount(shape) * size);
  const index = shape.map(() => 0);
  const pauses = new Pauses();
  let source = 0;
  for (let target = 0; target < bytes.length; target += size) {
    if (target % PAUSE_BYTES === 0) await pauses.takeIfDue();
    for (let i = 0; i < size; i++) bytes[target + i] = span[source * size + i] ?? 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const position = (index[axis] ?? 0) + 1;
      const stride = strides[axis] ?? 0;
      if (position < (shape[axis] ?? 0)) {
        index[axis] = position;
        source += stride;
        break;
      }
      index[axis] = 0;
      source -= (position - 1) * stride;
    }
  }
  return bytes;
}
