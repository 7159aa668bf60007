/**
 * The random numbers of PyTorch's CPU generator.
 *
 * @module
 */

import type { RandomGenerator } from "./random_generator.ts";

/** Words of the state (n in Matsumoto and Nishimura, "Mersenne Twister", 1998). */
const STATE_WORDS = 624;
/** Distance of the words that are combined (m in the paper). */
const SHIFT_WORDS = 397;
/** The twist matrix (a in the paper). */
const TWIST = 0x9908b0df;

const LOWEST_SEED = -(2n ** 63n);
const HIGHEST_SEED = 2n ** 64n - 1n;

/**
 * Uniform random numbers, bit for bit those of `torch.Generator("cpu").manual_seed(seed)` in
 * `torch.rand`: the Mersenne Twister MT19937, one 32-bit output for each float32, of which the low 24
 * bits count, in units of 2⁻²⁴.
 *
 * @example
 * ```ts
 * import { TorchGenerator } from "@vq-diffusion/vq-diffusion";
 *
 * const generator = new TorchGenerator(0);
 * const noise = new Float32Array(3);
 * generator.fill(noise); // 0.4962566, 0.7682218, 0.0884774
 * ```
 */
export class TorchGenerator implements RandomGenerator {
  /** The seed that it was made with, as PyTorch's `initial_seed()`: from 0 to 2⁶⁴ − 1. */
  readonly initialSeed: bigint;
  readonly #state = new Int32Array(STATE_WORDS);
  /** Words of the state that have been given out. */
  #used = STATE_WORDS;

  /**
   * Starts the stream of a seed.
   *
   * @param seed An integer from −2⁶³ to 2⁶⁴ − 1, of which the low 32 bits count, as in PyTorch.
   * @throws {TypeError} If the seed is neither a number nor a bigint.
   * @throws {RangeError} If it is no integer, out of range, or a number too big to be exact.
   */
  constructor(seed: number | bigint) {
    const state = this.#state;
    state[0] = low32Bits(seed);
    this.initialSeed = BigInt.asUintN(64, BigInt(seed));
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = state[i - 1]!;
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** Fills the array, which may lie in shared memory, with uniform numbers in [0, 1). */
  fill(out: Float32Array): void {
    const state = this.#state;
    let done = 0;
    while (done < out.length) {
      if (this.#used === STATE_WORDS) this.#regenerate();
      const count = Math.min(out.length - done, STATE_WORDS - this.#used);
      for (let i = 0, from = this.#used; i < count; i++) {
        out[done + i] = (temper(state[from + i]!) & 0xffffff) * 2 ** -24;
      }
      this.#used += count;
      done += count;
    }
  }

  /**
   * Fills the array with uniform float64 numbers in [0, 1), as `torch.rand` of that type does: two
   * outputs for each, of which the low 53 bits count, in units of 2⁻⁵³.
   */
  fillDouble(out: Float64Array): void {
    for (let i = 0; i < out.length; i++) {
      const high = this.random32() & 0x1fffff;
      out[i] = (high * 2 ** 32 + this.random32()) * 2 ** -53;
    }
  }

  /** The next raw output, an integer from 0 to 2³² − 1; `fill` takes one for each number. */
  random32(): number {
    if (this.#used === STATE_WORDS) this.#regenerate();
    return temper(this.#state[this.#used++]!) >>> 0;
  }

  /** The place in the stream, to return to with {@linkcode TorchGenerator.setState}: 625 words. */
  getState(): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(STATE_WORDS + 1);
    words.set(this.#state);
    words[STATE_WORDS] = this.#used;
    return words;
  }

  /**
   * Continues the stream from the place where {@linkcode TorchGenerator.getState} was called.
   *
   * @throws {RangeError} If these are not the words of a state.
   */
  setState(words: Uint32Array): void {
    if (words.length !== STATE_WORDS + 1) {
      throw new RangeError(
        `Cannot set the state of the generator: it has ${words.length} words, expected ${
          STATE_WORDS + 1
        }`,
      );
    }
    const used = words[STATE_WORDS]!;
    if (used > STATE_WORDS) {
      throw new RangeError(
        `Cannot set the state of the generator: the last word is ${used}, expected at most ${STATE_WORDS}`,
      );
    }
    this.#state.set(words.subarray(0, STATE_WORDS));
    this.#used = used;
  }

  /** Makes the next 624 words. Three loops, since indices modulo 624 would cost more than the work. */
  #regenerate(): void {
    const state = this.#state;
    const rest = STATE_WORDS - SHIFT_WORDS;
    let i = 0;
    for (; i < rest; i++) {
      state[i] = state[i + SHIFT_WORDS]! ^ twist(state[i]!, state[i + 1]!);
    }
    for (; i < STATE_WORDS - 1; i++) {
      state[i] = state[i - rest]! ^ twist(state[i]!, state[i + 1]!);
    }
    state[i] = state[i - rest]! ^ twist(state[i]!, state[0]!);
    this.#used = 0;
  }
}

/** The highest bit of one word and the others of the next, times the twist matrix. */
function twist(word: number, next: number): number {
  return (((word & 0x80000000) | (next & 0x7fffffff)) >>> 1) ^ (-(next & 1) & TWIST);
}

/** The output for a word of the state, as a signed integer. */
function temper(word: number): number {
  word ^= word >>> 11;
  word ^= (word << 7) & 0x9d2c5680;
  word ^= (word << 15) & 0xefc60000;
  return word ^ (word >>> 18);
}

/** The part of a seed that PyTorch's generator uses, as a signed integer. */
function low32Bits(seed: number | bigint): number {
  if (typeof seed !== "bigint" && typeof seed !== "number") {
    throw new TypeError(
      `Cannot seed the generator: the seed is ${typeof seed}, expected an integer`,
    );
  }
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
    throw new RangeError(
      `Cannot seed the generator: the seed is ${seed}, expected an integer (as a bigint if it is above 2^53 - 1)`,
    );
  }
  const integer = BigInt(seed);
  if (integer < LOWEST_SEED || integer > HIGHEST_SEED) {
    throw new RangeError(
      `Cannot seed the generator: the seed is ${integer}, expected -2^63 to 2^64 - 1`,
    );
  }
  return Number(BigInt.asIntN(32, integer));
}
