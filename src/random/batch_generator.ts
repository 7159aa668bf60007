/**
 * Random numbers of a batch in which every image has a stream of its own.
 *
 * @module
 */

import type { RandomGenerator, RewindableGenerator } from "./random_generator.ts";
import { TorchGenerator } from "./torch_generator.ts";

/**
 * Gives each image of a batch the numbers that it would get alone, so that any of them can be drawn
 * again without the others. The numbers of a batch are asked for as (images, …), all at once.
 */
export class BatchGenerator implements RewindableGenerator {
  readonly #generators: readonly RandomGenerator[];

  /** @param generators One for each image. */
  constructor(generators: readonly RandomGenerator[]) {
    this.#generators = generators;
  }

  /** Whether all streams can go back; else there is no state. */
  get canRewind(): boolean {
    return this.#generators.every((generator) => generator instanceof TorchGenerator);
  }

  /** The stream of an image. */
  stream(image: number): RandomGenerator {
    const generator = this.#generators[image];
    if (generator !== undefined) return generator;
    throw new RangeError(
      `Cannot draw random numbers: image is ${image}, expected less than ${this.#generators.length}`,
    );
  }

  /**
   * Fills an equal part of the array for each image.
   *
   * @throws {RangeError} If the parts would not be equal.
   */
  fill(out: Float32Array): void {
    const count = this.#generators.length;
    const size = out.length / count;
    if (!Number.isInteger(size)) {
      throw new RangeError(
        `Cannot draw random numbers: out.length is ${out.length}, expected a multiple of the ${count} images`,
      );
    }
    this.#generators.forEach((generator, i) => {
      generator.fill(out.subarray(i * size, (i + 1) * size));
    });
  }

  /** The places in all streams, one after the other. */
  getState(): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.#rewindable().flatMap((generator) => [...generator.getState()]));
  }

  /** Continues all streams from the places where {@linkcode BatchGenerator.getState} was called. */
  setState(words: Uint32Array): void {
    const size = words.length / this.#generators.length;
    this.#rewindable().forEach((generator, i) => {
      generator.setState(words.subarray(i * size, (i + 1) * size));
    });
  }

  #rewindable(): TorchGenerator[] {
    return this.#generators.filter((generator) => generator instanceof TorchGenerator);
  }
}

/**
 * The seed of an image: that of its own stream, or one as many later as the image is in the stream that all
 * share. Where a stream has no seed, the number of the image.
 */
export function imageSeed(generator: RandomGenerator, image: number): bigint {
  if (generator instanceof BatchGenerator) {
    return generator.stream(image).initialSeed ?? BigInt(image);
  }
  return (generator.initialSeed ?? 0n) + BigInt(image);
}

/** The generator if it can go back. */
export function rewindable(generator: RandomGenerator): RewindableGenerator | undefined {
  const can = generator instanceof TorchGenerator ||
    (generator instanceof BatchGenerator && generator.canRewind);
  return can ? generator : undefined;
}
