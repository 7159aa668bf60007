/**
 * What the samplers need of a source of random numbers.
 *
 * @module
 */

/**
 * A source of uniform random numbers. One generator makes one stream: calls continue where the
 * call before ended, however the numbers are divided among them.
 */
export interface RandomGenerator {
  /** The seed that the stream began with, if it has one. */
  readonly initialSeed?: bigint | undefined;
  /** Fills the array with uniform numbers in [0, 1). */
  fill(out: Float32Array): void;
  /** Fills the array with uniform numbers in [0, 1) of 53 bits. Default: made of two of `fill`. */
  fillDouble?(out: Float64Array): void;
}

/** A generator that can go back to a place in its stream. */
export interface RewindableGenerator extends RandomGenerator {
  /** The place in the stream. */
  getState(): Uint32Array<ArrayBuffer>;
  /** Continues from a place that {@linkcode RewindableGenerator.getState} gave. */
  setState(words: Uint32Array): void;
}
