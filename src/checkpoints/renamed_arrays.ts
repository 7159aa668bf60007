/**
 * A checkpoint whose arrays have other names.
 *
 * @module
 */

import type { HostArray } from "../backends/backend.ts";
import type { ArraySource, StoredArray } from "./arrays.ts";

/** The arrays of another source under new names. Disposing of either closes both. */
export class RenamedArrays implements ArraySource {
  readonly #source: ArraySource;
  /** Names in the source by new ones. */
  readonly #originals: ReadonlyMap<string, string>;

  /**
   * Names the arrays.
   *
   * @param rename Gives the new name. Where another array has it already, the old one stays.
   */
  constructor(source: ArraySource, rename: (name: string) => string) {
    const originals = new Map<string, string>();
    const names = new Set(source.names());
    for (const name of names) {
      const renamed = rename(name);
      const isFree = !names.has(renamed) && !originals.has(renamed);
      originals.set(isFree ? renamed : name, name);
    }
    this.#source = source;
    this.#originals = originals;
  }

  get description(): string {
    return this.#source.description;
  }

  names(): readonly string[] {
    return [...this.#originals.keys()];
  }

  shape(name: string): readonly number[] | undefined {
    return this.#source.shape(this.#original(name));
  }

  dtype(name: string): StoredArray["dtype"] | undefined {
    return this.#source.dtype(this.#original(name));
  }

  unreadable(name: string): string | undefined {
    return this.#source.unreadable?.(this.#original(name));
  }

  load(name: string): Promise<HostArray> {
    return this.#source.load(this.#original(name));
  }

  loadStored(name: string): Promise<StoredArray> {
    return this.#source.loadStored(this.#original(name));
  }

  release(): void {
    this.#source.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
  }

  #original(name: string): string {
    return this.#originals.get(name) ?? name;
  }
}
