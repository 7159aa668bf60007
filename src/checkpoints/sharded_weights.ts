/**
 * Weights that lie in several files, and the index that says where each array is.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import { describeValue } from "../base/check.ts";
import { inTurns, type Steps } from "../base/pauses.ts";
import { isInnerPath, joinPath } from "../files/paths.ts";
import type { FileSource, ModelFolder } from "../files/source.ts";
import type { ArraySource, StoredArray } from "./arrays.ts";
import { parseJsonFile } from "./config.ts";

/** Arrays between two places where reading may be interrupted. */
const STEP = 1000;

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
  const shardOf = await inTurns(weightMap(await folder.readText(indexName), description));
  const shards = new Map<string, ArraySource>();
  try {
    for (const file of new Set(shardOf.values())) {
      shards.set(file, await openArrays(await folder.open(file)));
    }
    return await inTurns(sourcesOf(shardOf, shards, description));
  } catch (error) {
    for (const shard of shards.values()) await shard[Symbol.asyncDispose]();
    throw error;
  }
}

/** The file of each array. */
function* weightMap(text: string, description: string): Steps<Map<string, string>> {
  const index = yield* parseJsonFile(text, description, [{ path: ["weight_map"] }]);
  const map = typeof index === "object" && index !== null && "weight_map" in index
    ? index.weight_map
    : undefined;
  const shardOf = new Map<string, string>();
  for (const [name, file] of map instanceof Map ? map : []) {
    if (shardOf.size % STEP === 0) yield;
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

/** The arrays of an index, each of which has to be in its file. */
function* sourcesOf(
  shardOf: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, ArraySource>,
  description: string,
): Steps<ArraySource> {
  const visible = new Set<string>();
  for (const shard of shards.values()) {
    yield;
    for (const name of shard.names()) visible.add(name);
  }
  const sources = new Map<string, ArraySource>();
  const names: string[] = [];
  for (const [name, file] of shardOf) {
    if (sources.size % STEP === 0) yield;
    const shard = shards.get(file);
    if (shard?.shape(name) === undefined) {
      throw new SyntaxError(
        `Cannot read ${description}: ${describeValue(name)} is not in ${describeValue(file)}`,
      );
    }
    sources.set(name, shard);
    if (visible.has(name)) names.push(name);
  }
  return new ShardedWeights(description, shards, sources, names);
}

class ShardedWeights implements ArraySource {
  readonly description: string;
  readonly #shards: ReadonlyMap<string, ArraySource>;
  readonly #sources: ReadonlyMap<string, ArraySource>;
  readonly #names: readonly string[];

  constructor(
    description: string,
    shards: ReadonlyMap<string, ArraySource>,
    sources: ReadonlyMap<string, ArraySource>,
    names: readonly string[],
  ) {
    this.description = description;
    this.#shards = shards;
    this.#sources = sources;
    this.#names = names;
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
