/**
 * Weights that lie in several files, and the index that says where each array is.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import { describeValue } from "../base/check.ts";
import { isInnerPath, joinPath } from "../files/paths.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import type { ArraySource, StoredArray } from "./arrays.ts";
import { readJson } from "./config.ts";

/**
 * Opens the files that an index names.
 *
 * @param openArrays Opens one of them, and closes it if it cannot be read.
 * @throws {MissingFileError} If one of them is not there.
 * @throws {SyntaxError} If the index or a file is damaged.
 */
export async function openSharded(
  folder: ModelFolder,
  indexName: string,
  openArrays: (file: FileSource) => Promise<ArraySource>,
): Promise<ArraySource> {
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

  unreadable(name: string): string | undefined {
    return this.#sources.get(name)?.unreadable?.(name);
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
