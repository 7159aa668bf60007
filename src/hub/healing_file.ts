/**
 * Files of a cache that are fetched again if reading finds them damaged.
 *
 * @module
 */

import type { FileSource } from "../files/source.ts";
import { DamagedFileError } from "./cache.ts";

/**
 * A file of a cache. If reading finds that it is damaged, it is opened anew once.
 *
 * @param again Fetches the file anew; it is told what is wrong.
 */
export function healingFile(
  source: FileSource,
  again: (error: DamagedFileError) => Promise<FileSource>,
): FileSource {
  return new HealingFile(source, again);
}

class HealingFile implements FileSource {
  readonly description: string;
  readonly size: number;
  readonly #again: (error: DamagedFileError) => Promise<FileSource>;
  #source: FileSource;
  #healing: Promise<void> | undefined;

  constructor(source: FileSource, again: (error: DamagedFileError) => Promise<FileSource>) {
    this.#source = source;
    this.#again = again;
    this.description = source.description;
    this.size = source.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const source = this.#source;
    try {
      return await source.read(offset, length);
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      // Several reads may notice it; the first fetches the file.
      if (source === this.#source) await (this.#healing ??= this.#heal(error));
      return await this.#source.read(offset, length);
    }
  }

  release(): void {
    this.#source.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
  }

  async #heal(error: DamagedFileError): Promise<void> {
    const source = await this.#again(error);
    await this.#source[Symbol.asyncDispose]();
    // Once is enough: a cache that loses files at once would never end.
    this.#source = source instanceof HealingFile ? source.#source : source;
    if (source.size !== this.size) {
      throw new Error(`Cannot read ${this.description}: it has changed`);
    }
  }
}
