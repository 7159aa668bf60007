/**
 * A writer of torch files for tests: what `torch.save` makes of dicts, lists, plain values and
 * tensors.
 *
 * @module
 */

import { elementCount } from "../../../src/base/shapes.ts";
import type { StoredDType } from "../../../src/base/dtypes.ts";
import type { StoredArray } from "../../../src/checkpoints/arrays.ts";
import { ByteWriter, encodeZip, type ZipOptions } from "./zip_writer.ts";

/** A value that can be written. Records become dicts. */
export type TorchValue =
  | StoredArray
  | null
  | boolean
  | number
  | string
  | readonly TorchValue[]
  | { readonly [key: string]: TorchValue };

const STORAGES: Readonly<Partial<Record<StoredDType, string>>> = {
  F64: "DoubleStorage",
  F32: "FloatStorage",
  F16: "HalfStorage",
  BF16: "BFloat16Storage",
  I64: "LongStorage",
  I32: "IntStorage",
  I16: "ShortStorage",
  I8: "CharStorage",
  U8: "ByteStorage",
  BOOL: "BoolStorage",
};

/** A torch file in the zip format. */
export async function encodeTorchFile(
  value: TorchValue,
  options: ZipOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const pickler = new Pickler();
  const pickle = pickler.pickle(value);
  return await encodeZip([
    ["archive/data.pkl", pickle],
    ["archive/byteorder", "little"],
    ...pickler.arrays.map(({ bytes }, key) => [`archive/data/${key}`, bytes] as const),
    ["archive/version", "3\n"],
  ], options);
}

/** A torch file in the format before PyTorch 1.6. */
export function encodeLegacyTorchFile(value: TorchValue): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer.u8(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);
  writer.put(new Pickler().pickle(1001)).put(new Pickler().pickle({ little_endian: true }));
  const pickler = new Pickler();
  writer.put(pickler.pickle(value));
  writer.put(new Pickler().pickle(pickler.arrays.map((_, key) => String(key))));
  for (const { shape, bytes } of pickler.arrays) writer.u64(elementCount(shape)).put(bytes);
  return writer.bytes();
}

class Pickler {
  /** The arrays met so far; their indices are the keys of the storages. */
  readonly arrays: StoredArray[] = [];
  readonly #writer = new ByteWriter();

  pickle(value: TorchValue): Uint8Array<ArrayBuffer> {
    this.#writer.u8(0x80, 2);
    this.#value(value);
    this.#writer.u8(0x2e);
    return this.#writer.bytes();
  }

  #value(value: TorchValue): void {
    if (value === null) this.#op("N");
    else if (typeof value === "boolean") this.#writer.u8(value ? 0x88 : 0x89);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.#text(value);
    else if (isList(value)) {
      this.#op("](");
      for (const item of value) this.#value(item);
      this.#op("e");
    } else if (isArray(value)) this.#tensor(value);
    else {
      this.#op("}(");
      for (const [key, item] of Object.entries(value)) {
        this.#text(key);
        this.#value(item);
      }
      this.#op("u");
    }
  }

  #tensor(array: StoredArray): void {
    const { dtype, shape } = array;
    const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
    this.#op("ctorch._utils\n_rebuild_tensor_v2\n((");
    this.#text("storage");
    this.#op(`ctorch\n${STORAGES[dtype]}\n`);
    this.#text(String(this.arrays.push(array) - 1));
    this.#text("cpu");
    this.#number(elementCount(shape));
    this.#op("tQ");
    this.#number(0);
    for (const lengths of [shape, strides]) {
      this.#op("(");
      for (const length of lengths) this.#number(length);
      this.#op("t");
    }
    this.#writer.u8(0x89);
    this.#op("ccollections\nOrderedDict\n)RtR");
  }

  #number(value: number): void {
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) {
      this.#op("J");
      this.#writer.u32(value);
    } else {
      this.#op("G");
      this.#writer.put(new Uint8Array(new Float64Array([value]).buffer).reverse());
    }
  }

  #text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#op("X");
    this.#writer.u32(bytes.length).put(bytes);
  }

  #op(text: string): void {
    this.#writer.put(new TextEncoder().encode(text));
  }
}

function isList(value: TorchValue): value is readonly TorchValue[] {
  return Array.isArray(value);
}

function isArray(value: object): value is StoredArray {
  return "bytes" in value && value.bytes instanceof Uint8Array;
}
