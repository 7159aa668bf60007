/**
 * The arrays of a checkpoint under the names they have inside a module, and what becomes of them.
 *
 * @module
 */

import type { StoredDType } from "../../base/dtypes.ts";
import type { ArraySource, StoredArray } from "../arrays.ts";
import { describeValue } from "../../base/check.ts";

/** An array of a converted model, made when it is asked for. */
export interface ConvertedArray {
  /** Name in the converted model. */
  readonly name: string;
  /** Element type. */
  readonly dtype: StoredDType;
  /** Lengths of the dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Reads the elements of the original and converts them. */
  load(): Promise<StoredArray>;
}

/** One replacement in a name; the rules of a list are applied one after the other. */
export type NameRule = readonly [
  pattern: RegExp,
  replacement: string | ((...groups: string[]) => string),
];

/** A module's `state_dict` in PyTorch: arrays by name, which lie in a checkpoint under other names. */
export class StateDict {
  readonly #source: ArraySource;
  /** Names in the checkpoint by names in the module. */
  readonly #names: ReadonlyMap<string, string>;

  /** Names arrays of a checkpoint, which stays the caller's. */
  constructor(source: ArraySource, names: ReadonlyMap<string, string>) {
    this.#source = source;
    this.#names = names;
  }

  /** The checkpoint, for error messages. */
  get description(): string {
    return this.#source.description;
  }

  /** The names in the module. */
  names(): string[] {
    return [...this.#names.keys()];
  }

  /** Whether there is such an array. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** What is below a submodule. */
  within(prefix: string): StateDict {
    const names = [...this.#names].filter(([name]) => name.startsWith(prefix));
    return new StateDict(
      this.#source,
      new Map(names.map(([name, original]) => [name.slice(prefix.length), original])),
    );
  }

  /**
   * Shape of an array.
   *
   * @param rank Number of dimensions it must have.
   * @throws {TypeError} If there is none, or it has another number of dimensions.
   */
  shape(name: string, rank: number): readonly number[] {
    const shape = this.#source.shape(this.#original(name));
    if (shape?.length === rank) return shape;
    throw new TypeError(
      `Cannot convert ${this.description}: ${
        describeValue(name)
      } has shape (${shape}), expected ${rank} dimensions`,
    );
  }

  /**
   * Length of the first dimension of an array.
   *
   * @throws {TypeError} If there is none, or it has another number of dimensions.
   */
  rows(name: string, rank: number): number {
    return this.shape(name, rank)[0]!;
  }

  /** How many submodules `prefix0.`, `prefix1.` … there are, without a gap. */
  count(prefix: string): number {
    const modules = new Set<string | undefined>();
    for (const name of this.#names.keys()) {
      if (name.startsWith(prefix)) modules.add(name.slice(prefix.length).split(".", 1)[0]);
    }
    let count = 0;
    while (modules.has(String(count))) count++;
    return count;
  }

  /**
   * An array under another name.
   *
   * @throws {TypeError} If there is none, or it cannot be read.
   */
  array(name: string, newName = name): ConvertedArray {
    const original = this.#original(name);
    const dtype = this.#source.dtype(original);
    const reason = this.#source.unreadable?.(original);
    if (dtype === undefined || reason !== undefined) {
      throw new TypeError(
        `Cannot convert ${this.description}: ${describeValue(name)} cannot be read, as ${reason}`,
      );
    }
    return {
      name: newName,
      dtype,
      shape: this.#source.shape(original)!,
      load: () => this.#source.loadStored(original),
    };
  }

  #original(name: string): string {
    const original = this.#names.get(name);
    if (original !== undefined) return original;
    throw new TypeError(`Cannot convert ${this.description}: it has no ${describeValue(name)}`);
  }
}

/** A name after all rules. */
export function renamed(name: string, rules: readonly NameRule[]): string {
  return rules.reduce(
    (result, [pattern, replacement]) =>
      typeof replacement === "string"
        ? result.replace(pattern, replacement)
        : result.replace(pattern, (_, ...groups) => replacement(...groups)),
    name,
  );
}
