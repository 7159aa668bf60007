/**
 * Tokens that are numbered otherwise than the codes of the autoencoder.
 *
 * @module
 */

import type { Frame, Tensor } from "../backends/backend.ts";

/** A number below this and the sum of two squares of such are exact in float32. */
const BASE = 1024;

/**
 * Maps codes to tokens. Devices have no table of integers: a token is looked up as two digits, whose
 * nearest pair among those of all tokens is its number.
 */
export class TokenNumbers {
  /** The digits of the token of each code, (codes, 2). */
  readonly #ofCodes: Float32Array;
  /** The digits of each token, (tokens, 2). */
  readonly #ofTokens: Float32Array;

  /** @param tokens Number of tokens, at most 2²⁰. */
  constructor(tokenOfCode: readonly number[], tokens: number) {
    this.#ofCodes = digitsOf(tokenOfCode);
    this.#ofTokens = digitsOf(Array.from({ length: tokens }, (_, token) => token));
  }

  /** Codes (batch, pixels) → tokens (batch, pixels). */
  of(frame: Frame, codes: Tensor<"i32">): Tensor<"i32"> {
    const table = (digits: Float32Array) => {
      const tensor = frame.empty([digits.length / 2, 2], "f32");
      tensor.write(digits);
      return tensor;
    };
    const digits = frame.embedding(codes, table(this.#ofCodes));
    return frame.nearestCode(digits, table(this.#ofTokens));
  }
}

function digitsOf(tokens: readonly number[]): Float32Array {
  return Float32Array.from(tokens.flatMap((token) => [Math.floor(token / BASE), token % BASE]));
}
