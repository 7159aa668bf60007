/**
 * Element types of PyTorch.
 *
 * @module
 */

import { STORED_DTYPES, type StoredDType } from "../../base/dtypes.ts";

/** An element type of PyTorch. */
export class TorchDType {
  /** Its name in PyTorch, such as `float32`. */
  readonly name: string;
  /** The type that its elements are read as; undefined if they cannot be. */
  readonly stored: StoredDType | undefined;
  /** Bytes of an element. */
  readonly bytes: number;

  /**
   * Describes a type.
   *
   * @param type How its elements are read, or how many bytes they have if they cannot be.
   */
  constructor(name: string, type: StoredDType | number) {
    this.name = name;
    this.stored = typeof type === "number" ? undefined : type;
    this.bytes = typeof type === "number" ? type : STORED_DTYPES[type];
  }
}

/** All types by their names, also the older ones. */
const TYPES: Readonly<Record<string, StoredDType | number>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
  complex128: 16,
  complex64: 8,
  complex32: 4,
  float8_e4m3fn: 1,
  float8_e4m3fnuz: 1,
  float8_e5m2: 1,
  float8_e5m2fnuz: 1,
  float8_e8m0fnu: 1,
};

const ALIASES: Readonly<Record<string, string>> = {
  double: "float64",
  float: "float32",
  half: "float16",
  long: "int64",
  int: "int32",
  short: "int16",
  cdouble: "complex128",
  cfloat: "complex64",
};

/** Classes of storages, by the type of their elements. */
const STORAGES: Readonly<Record<string, string>> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
  ComplexDoubleStorage: "complex128",
  ComplexFloatStorage: "complex64",
};

/** A class of storages, which says what the elements are. */
export class StorageType {
  /** Type of the elements. */
  readonly dtype: TorchDType;

  /** Holds the type. */
  constructor(dtype: TorchDType) {
    this.dtype = dtype;
  }
}

/** What the names of types and of storages mean, with the module that they are in. */
export function typeNames(): [name: string, value: TorchDType | StorageType][] {
  const types = Object.entries(TYPES).map(([name, type]) => new TorchDType(name, type));
  const byName = new Map(types.map((type) => [type.name, type]));
  // Of those types that came later, the storages are bytes, and each tensor says what they are.
  const bytes = new StorageType(byName.get("uint8")!);
  return [
    ...types.map((type) => [`torch.${type.name}`, type] as [string, TorchDType]),
    ...Object.entries(ALIASES)
      .map(([alias, name]) => [`torch.${alias}`, byName.get(name)!] as [string, TorchDType]),
    ...Object.entries(STORAGES)
      .map(([storage, name]) =>
        [`torch.${storage}`, new StorageType(byName.get(name)!)] as [string, StorageType]
      ),
    ["torch.storage.UntypedStorage", bytes],
    ["torch.UntypedStorage", bytes],
  ];
}
