// Golden data of the reference: folders with a config, weights, inputs and expected outputs.

import type { Backend, Tensor } from "../../src/backends/backend.ts";
import { type ArraySource, typedArray } from "../../src/checkpoints/arrays.ts";
import { type Config, readConfig } from "../../src/checkpoints/config.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { openSafetensors, parseSafetensors } from "../../src/checkpoints/safetensors.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** An array of golden data. */
export interface GoldenArray<T extends Float32Array | Int32Array> {
  readonly shape: readonly number[];
  readonly data: T;
}

/** A folder of golden data. */
export class GoldenCase {
  readonly #folder: URL;
  readonly #arrays: ReturnType<typeof parseSafetensors>;

  /** @param path Path of the folder, such as `transformer/b_geglu`. */
  constructor(readonly path: string) {
    this.#folder = new URL(`${path}/`, FIXTURES);
    this.#arrays = parseSafetensors(Deno.readFileSync(new URL("io.safetensors", this.#folder)));
  }

  /** Names of the inputs and outputs. */
  names(): string[] {
    return [...this.#arrays.keys()];
  }

  /** Numbers of an input or output. */
  floats(name: string): GoldenArray<Float32Array> {
    const { shape, data } = this.#array(name);
    if (!(data instanceof Float32Array)) throw new TypeError(`${name} does not hold floats`);
    return { shape, data };
  }

  /** Ids of an input or output. */
  ids(name: string): GoldenArray<Int32Array> {
    const { shape, data } = this.#array(name);
    if (!(data instanceof Int32Array)) throw new TypeError(`${name} does not hold integers`);
    return { shape, data };
  }

  /** Numbers of an input on a device. */
  tensor(backend: Backend, name: string): Tensor {
    const { shape, data } = this.floats(name);
    return backend.tensor(data, shape);
  }

  /** Ids of an input on a device. */
  idTensor(backend: Backend, name: string): Tensor<"i32"> {
    const { shape, data } = this.ids(name);
    return backend.tensor(data, shape);
  }

  /** A text file. */
  async text(file: string): Promise<string> {
    return await Deno.readTextFile(new URL(file, this.#folder));
  }

  /** The config. */
  async config(file = "config.json"): Promise<Config> {
    const text = await this.text(file);
    return await readConfig(memoryFolder({ [file]: text }, this.path), file);
  }

  /** The weights. */
  async weights(file = "diffusion_pytorch_model.safetensors"): Promise<ArraySource> {
    const bytes = await Deno.readFile(new URL(file, this.#folder));
    return await openSafetensors(memoryFile(`${this.path}/${file}`, bytes));
  }

  #array(name: string) {
    const array = this.#arrays.get(name);
    if (array === undefined) throw new RangeError(`${this.path} has no array ${name}`);
    return { shape: array.shape, data: typedArray(array) };
  }
}

/** Paths of the cases of a kind. A case of more than a megabyte is left out where only few run. */
export function goldenCases(kind: string, only: "all" | "small" = "all"): string[] {
  const folder = new URL(`${kind}/`, FIXTURES);
  return [...Deno.readDirSync(folder)]
    .map(({ name }) => `${kind}/${name}`)
    .filter((path) => only === "all" || sizeOf(path) < 2 ** 20)
    .sort();
}

function sizeOf(path: string): number {
  const folder = new URL(`${path}/`, FIXTURES);
  return [...Deno.readDirSync(folder)]
    .filter(({ name }) => !name.startsWith("io."))
    .reduce((sum, { name }) => sum + Deno.statSync(new URL(name, folder)).size, 0);
}
