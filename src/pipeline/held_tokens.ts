/**
 * Tokens that a generation leaves as they are.
 *
 * @module
 */

/** Tokens that stay what they are. */
export interface HeldTokens {
  /** The tokens (images · pixels). */
  readonly tokens: Int32Array;
  /** For each token of an image 0 if it is held. */
  readonly isDrawn: Uint8Array;
}

/** Puts held tokens back into tokens (images · pixels) that a step has drawn. */
export function hold(tokens: Int32Array, held: HeldTokens): void {
  const pixels = held.isDrawn.length;
  for (let i = 0; i < tokens.length; i++) {
    if (held.isDrawn[i % pixels] === 0) tokens[i] = held.tokens[i]!;
  }
}
