/**
 * Element types, and the names they have: in files, as arrays of the host's, and as a choice of how to
 * hold weights. float32 is `F32`, `f32` and `fp32` there, as safetensors, typed arrays and diffusers say.
 *
 * @module
 */

/** Bytes of one element of every element type that files may hold, by its name in safetensors. */
export const STORED_DTYPES: Readonly<Record<StoredDType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** Element type of an array in a file, named as in safetensors. */
export type StoredDType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

/** Element type of weights on their way to a device: `"i8"` has a scale for each row. */
export type HostDType = "f32" | "f16" | "bf16" | "i8";

/** How weights can be held: float32, float16, or int8 with a scale for each row. */
export const WEIGHT_DTYPES = ["fp32", "fp16", "q8"] as const;

/** How the weights of matrix products are held in memory; the arithmetic stays float32, `"q8"` excepted. */
export type WeightDType = typeof WEIGHT_DTYPES[number];

/** Whether `dtype` is the name of an element type that can be read. */
export function isStoredDType(dtype: unknown): dtype is StoredDType {
  return typeof dtype === "string" && Object.hasOwn(STORED_DTYPES, dtype);
}

const HOST_DTYPES: Readonly<Partial<Record<StoredDType, HostDType>>> = {
  F64: "f32",
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  I8: "i8",
};

/**
 * The type that an array of a file is loaded in, or undefined for integers that are no weights. Float64
 * becomes float32.
 */
export function hostDType(dtype: StoredDType | undefined): HostDType | undefined {
  return dtype && HOST_DTYPES[dtype];
}

const FILE_DTYPES = { f32: "F32", f16: "F16", bf16: "BF16", i8: "I8" } as const;

/** The type that weights are stored in. */
export function storedDType(dtype: HostDType): StoredDType {
  return FILE_DTYPES[dtype];
}

const HELD_DTYPES = { fp32: "f32", fp16: "f16", q8: "i8" } as const;

/** The element type of weights that are held in a certain way. */
export function heldDType(dtype: WeightDType): HostDType {
  return HELD_DTYPES[dtype];
}

/**
 * How the weights of a linear layer are held if nothing else is asked for, as they are stored: int8 or
 * float16 if all of them are, else float32.
 *
 * @param dtypes Types of the matrices that are joined in it.
 */
export function weightDType(dtypes: readonly (HostDType | undefined)[]): WeightDType {
  if (dtypes.every((dtype) => dtype === "i8")) return "q8";
  return dtypes.every((dtype) => dtype === "f16") ? "fp16" : "fp32";
}
