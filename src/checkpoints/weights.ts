/**
 * Finding and opening the weights of a component in its folder.
 *
 * @module
 */

import type { ArraySource, StoredArray } from "./arrays.ts";
import type { HostArray } from "../backends/backend.ts";
import { readJson } from "./config.ts";
import { describeValue } from "../base/check.ts";
import { isInnerPath, joinPath, MissingFileError } from "../files/paths.ts";
import { openSafetensors } from "./safetensors.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import { isTorchFile } from "./torch/file_kind.ts";

/**
 * Opens the weights of a component: the first of some files that is there. A name that ends in
 * `.index.json` is that of an index, which says in which file each array lies.
 *
 * @param names Names to look for, such as {@linkcode DIFFUSERS_WEIGHTS}, in order of preference.
 * @throws {MissingFileError} If none of them is there, or a file that the index names is not.
 * @throws {SyntaxError} If a file is damaged.
 */
export async function openWeights(
  folder: ModelFolder,
  names: readonly string[],
): Promise<ArraySource> {
  for (const name of names) {
    if (!await folder.has(name)) continue;
    if (name.endsWith(".index.json")) return await openSharded(folder, name);
    return await openArrays(await folder.open(name));
  }
  throw new MissingFileError(
    `Cannot find the weights in ${folder.description}: looked for ${names.join(", ")}`,
  );
}

/**
 * Opens a file of arrays, of safetensors or of `torch.save`: its first bytes say which. It is closed
 * with the source, and if it cannot be read.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If an element type is not supported, or a torch file uses a name that is not
 * allowed.
 */
export async function openArrays(file: FileSource): Promise<ArraySource> {
  let open: (file: FileSource) => Promise<ArraySource> = openSafetensors;
  try {
    const prefix = await file.read(0, Math.min(4, file.size));
    if (isTorchFile(prefix)) open = (await import("./torch/torch_file.ts")).openTorchFile;
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
  return await open(file);
}

async function openSharded(folder: ModelFolder, indexName: string): Promise<ArraySource> {
  const description = joinPath(folder.description, indexName);
  const shardOf = weightMap(await readJson(folder, indexName), description);
  const shards = new Map<string, ArraySource>();
  try {
    for (const file of new Set(shardOf.values())) {
      shards.set(file, await openArrays(await folder.open(file)));
    }
    return new ShardedWeights(description, shardOf, shards);
  } catch (error) {
    for (const shard of shards.values()) await shard[Symbol.asyncDispose]();
    throw error;
  }
}

function weightMap(index: unknown, description: string): Map<string, string> {
  const map = typeof index === "object" && index !== null && "weight_map" in index
    ? index.weight_map
    : undefined;
  const entries: [string, unknown][] = typeof map === "object" && map ? Object.entries(map) : [];
  const shardOf = new Map<string, string>();
  for (const [name, file] of entries) {
    if (typeof file !== "string" || !isInnerPath(file)) {
      throw new SyntaxError(
        `Cannot read ${description}: ${describeValue(name)} is in ${describeValue(file)}, ` +
          `expected a file in the folder`,
      );
    }
    shardOf.set(name, file);
  }
  if (shardOf.size === 0) throw new SyntaxError(`Cannot read ${description}: it has no weight_map`);
  return shardOf;
}

class ShardedWeights implements ArraySource {
  readonly description: string;
  readonly #shards: ReadonlyMap<string, ArraySource>;
  readonly #sources = new Map<string, ArraySource>();
  readonly #names: readonly string[];

  constructor(
    description: string,
    shardOf: ReadonlyMap<string, string>,
    shards: ReadonlyMap<string, ArraySource>,
  ) {
    this.description = description;
    this.#shards = shards;
    for (const [name, file] of shardOf) {
      const shard = shards.get(file);
      if (shard?.shape(name) === undefined) {
        throw new SyntaxError(
          `Cannot read ${description}: ${describeValue(name)} is not in ${describeValue(file)}`,
        );
      }
      this.#sources.set(name, shard);
    }
    const visible = new Set(Array.from(shards.values(), (shard) => shard.names()).flat());
    this.#names = [...shardOf.keys()].filter((name) => visible.has(name));
  }

  names(): readonly string[] {
    return this.#names;
  }

  shape(name: string): readonly number[] | undefined {
    return this.#sources.get(name)?.shape(name);
  }

  dtype(name: string): StoredArray["dtype"] | undefined {
    return this.#sources.get(name)?.dtype(name);
  }

  async load(name: string): Promise<HostArray> {
    return await this.#source(name).load(name);
  }

  async loadStored(name: string): Promise<StoredArray> {
    return await this.#source(name).loadStored(name);
  }

  release(): void {
    for (const shard of this.#shards.values()) shard.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const shard of this.#shards.values()) await shard[Symbol.asyncDispose]();
  }

  #source(name: string): ArraySource {
    const source = this.#sources.get(name);
    if (!source) {
      throw new RangeError(
        `Cannot load ${describeValue(name)}: ${this.description} has no such array`,
      );
    }
    return source;
  }
}
