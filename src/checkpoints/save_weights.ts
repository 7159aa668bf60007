/**
 * Saving the weights of a component as safetensors, in whichever type is wanted.
 *
 * @module
 */

import type { HostArray, WeightDType } from "../backends/backend.ts";
import type { ArraySource } from "./arrays.ts";
import { convertArray } from "./convert.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import { type ArrayToWrite, writeSafetensors } from "./safetensors_writer.ts";

/** Options of {@linkcode saveWeights}. */
export interface SaveWeightsOptions {
  /** Type to save them in. Default: as they are stored. */
  readonly dtype?: WeightDType | undefined;
  /** The arrays to save. Default: all but those of integers, which no model of diffusers needs. */
  readonly names?: readonly string[] | undefined;
  /**
   * Which arrays become int8 if `dtype` is `"q8"`: the weights of linear layers that tolerate it. The
   * others stay as they are. Default: none.
   */
  readonly quantize?: ((name: string) => boolean) | undefined;
  /** Stops between two arrays. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes weights to a safetensors file, holding only one array in memory at a time.
 *
 * @param path File in the folder, such as `diffusion_pytorch_model.safetensors`.
 * @throws {RangeError} If a value does not fit the type.
 */
export async function saveWeights(
  source: ArraySource,
  folder: FolderWriter,
  path: string,
  options: SaveWeightsOptions = {},
): Promise<void> {
  const { dtype, quantize = () => false, signal } = options;
  const names = options.names ?? source.names().filter((name) => isFloat(source, name));
  const arrays: ArrayToWrite[] = [];
  for (const name of names) {
    const target = targetOf(source, name, dtype, quantize(name));
    const load = async () => {
      signal?.throwIfAborted();
      return convert(await source.load(name), target, name);
    };
    arrays.push(...entriesOf(name, source.shape(name) ?? [], target, load));
  }
  try {
    await folder.writeFile(path, (sink) => writeSafetensors(arrays, sink));
  } finally {
    source.release();
  }
}

type ArrayType = HostArray["dtype"];

const FILE_DTYPES = { f32: "F32", f16: "F16", bf16: "BF16", i8: "I8" } as const;

function isFloat(source: ArraySource, name: string): boolean {
  const dtype = source.dtype(name);
  return dtype === "I8" || dtype !== undefined && /^B?F\d/.test(dtype);
}

/** The type in which an array is to be written. */
function targetOf(
  source: ArraySource,
  name: string,
  dtype: WeightDType | undefined,
  quantized: boolean,
): ArrayType {
  if (dtype === "fp32") return "f32";
  if (dtype === "fp16") return "f16";
  if (dtype === "q8" && quantized) return "i8";
  switch (source.dtype(name)) {
    case "F16":
      return "f16";
    case "BF16":
      return "bf16";
    case "I8":
      return "i8";
    default:
      return "f32";
  }
}

function convert(array: HostArray, target: ArrayType, name: string): HostArray {
  if (array.dtype === target) return array;
  return convertArray(array, target === "f16" ? "fp16" : target === "i8" ? "q8" : "fp32", name);
}

/** One array, or two for an int8 weight: the weight and its scales, (out, 1). */
function entriesOf(
  name: string,
  shape: readonly number[],
  target: ArrayType,
  load: () => Promise<HostArray>,
): ArrayToWrite[] {
  const bytes = async () => bytesOf((await load()).data);
  const entry: ArrayToWrite = { name, dtype: FILE_DTYPES[target], shape, bytes };
  if (target !== "i8") return [entry];
  const scales = async () => {
    const array = await load();
    if (array.dtype !== "i8") throw new TypeError(`Cannot save ${name}: it has no scales`);
    return bytesOf(array.scale);
  };
  const scaleShape = [shape[0] ?? 0, 1];
  return [entry, { name: `${name}_scale`, dtype: "F32", shape: scaleShape, bytes: scales }];
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
