/**
 * Saving the weights of a component as safetensors, in whichever type is wanted.
 *
 * @module
 */

import { describeName } from "../base/check.ts";
import type { HostArray } from "../backends/backend.ts";
import {
  heldDType,
  type HostDType,
  hostDType,
  storedDType,
  type WeightDType,
} from "../base/dtypes.ts";
import type { ArraySource } from "./arrays.ts";
import { convertArray } from "./convert.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import { variantNames } from "../files/weight_names.ts";
import { type ArrayToWrite, writeSafetensors } from "./safetensors_writer.ts";

/** Options of {@linkcode saveWeights}. */
export interface SaveWeightsOptions {
  /**
   * Type to save them in: one for all, or a function that gives that of each by name, undefined for those
   * that stay as they are. Default: as they are stored.
   */
  readonly dtype?: WeightDType | ((name: string) => WeightDType | undefined) | undefined;
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
 * Writes weights to a safetensors file, holding only one array in memory at a time, and has others removed that
 * would be taken in its place.
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
  const dtypeOf = typeof dtype === "function"
    ? dtype
    : (name: string) => dtype === "q8" && !quantize(name) ? undefined : dtype;
  const isWeight = (name: string) => hostDType(source.dtype(name)) !== undefined;
  const arrays: ArrayToWrite[] = [];
  for (const name of options.names ?? source.names().filter(isWeight)) {
    const wanted = dtypeOf(name);
    const target = wanted ? heldDType(wanted) : hostDType(source.dtype(name)) ?? "f32";
    const load = async () => {
      signal?.throwIfAborted();
      const array = await source.load(name);
      return wanted ? await convertArray(array, wanted, describeName(name)) : array;
    };
    arrays.push(...entriesOf(name, source.shape(name) ?? [], target, load));
  }
  try {
    await folder.writeFile(path, (sink) => writeSafetensors(arrays, sink));
  } finally {
    source.release();
  }
  for (const name of namesBeside(path)) folder.remove?.(name);
}

/**
 * Names of other weights that may lie beside a file of weights and be taken in its place: in several files,
 * which diffusers prefers, or of float16.
 *
 * @param file Such as `model.safetensors`.
 */
function namesBeside(file: string): string[] {
  const index = `${file}.index.json`;
  return [index, ...variantNames([file, index], "fp16")];
}

/** One array, or two for an int8 weight: the weight and its scales, (out, 1). */
function entriesOf(
  name: string,
  shape: readonly number[],
  target: HostDType,
  load: () => Promise<HostArray>,
): ArrayToWrite[] {
  const bytes = async () => bytesOf((await load()).data);
  const entry: ArrayToWrite = { name, dtype: storedDType(target), shape, bytes };
  if (target !== "i8") return [entry];
  const scales = async () => {
    const array = await load();
    if (array.dtype !== "i8") {
      throw new TypeError(`Cannot save ${describeName(name)}: it has no scales`);
    }
    return bytesOf(array.scale);
  };
  const scaleShape = [shape[0] ?? 0, 1];
  const dtype = storedDType("f32");
  return [entry, { name: `${name}_scale`, dtype, shape: scaleShape, bytes: scales }];
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
