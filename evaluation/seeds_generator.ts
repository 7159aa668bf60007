// Random numbers of a batch in which every image has a seed of its own.

import type { RandomGenerator } from "../src/random/random_generator.ts";
import { TorchGenerator } from "../src/random/torch_generator.ts";

/**
 * Gives each image of a batch the noise that it would get alone with its seed, so that a result does
 * not depend on how images are put into batches. Noise is asked for as (images, …).
 */
export class SeedsGenerator implements RandomGenerator {
  readonly #generators: readonly TorchGenerator[];

  /** @param seeds One for each image. */
  constructor(seeds: readonly number[]) {
    this.#generators = seeds.map((seed) => new TorchGenerator(seed));
  }

  /**
   * Fills an equal part of the array for each image.
   *
   * @throws {RangeError} If the parts would not be equal.
   */
  fill(out: Float32Array): void {
    const size = out.length / this.#generators.length;
    if (!Number.isInteger(size)) {
      throw new RangeError(
        `Cannot divide ${out.length} numbers among ${this.#generators.length} images: expected a multiple`,
      );
    }
    this.#generators.forEach((generator, i) => {
      generator.fill(out.subarray(i * size, (i + 1) * size));
    });
  }
}
