/**
 * Tokens that are found in a text before it is divided into words.
 *
 * @module
 */

import type { Steps } from "../base/pauses.ts";
import { sorted } from "../base/sort.ts";
import { trimEnd, trimStart } from "./clip_text.ts";

/** Tokens between two places where preparing may be interrupted. */
const STEP = 1000;

/** A token that is found in a text as it stands, named as in the files of transformers. */
export interface AddedToken {
  /** The text that it is written as. */
  readonly content: string;
  /** Its id. */
  readonly id: number;
  /** Whether it is looked for in the normalized text instead of the original one. */
  readonly normalized: boolean;
  /** Whether it takes the white space before it away. */
  readonly lstrip: boolean;
  /** Whether it takes the white space after it away. */
  readonly rstrip: boolean;
  /** Whether it counts only where no character of a word touches it. */
  readonly singleWord: boolean;
  /** Whether it is left out when special tokens are to be skipped. */
  readonly special: boolean;
}

// Characters of words by Unicode Technical Standard 18, which are more than JavaScript's `\w`.
const STARTS_WITH_WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const ENDS_WITH_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;

/** Cuts texts at the places where added tokens stand. */
export class AddedTokens {
  readonly #tokens: ReadonlyMap<string, AddedToken>;
  /** How the tokens are written, in the order of their units: those with one beginning follow each other. */
  readonly #sorted: readonly string[];
  /** Units that tokens begin with. */
  readonly #begins: ReadonlySet<number>;

  private constructor(
    tokens: ReadonlyMap<string, AddedToken>,
    sorted: readonly string[],
    begins: ReadonlySet<number>,
  ) {
    this.#tokens = tokens;
    this.#sorted = sorted;
    this.#begins = begins;
  }

  /**
   * Prepares the search.
   *
   * @param tokens The tokens by how they are written in the texts that will be cut.
   */
  static *prepare(tokens: ReadonlyMap<string, AddedToken>): Steps<AddedTokens> {
    const contents: string[] = [];
    const begins = new Set<number>();
    for (const content of tokens.keys()) {
      if (content === "") continue;
      begins.add(content.charCodeAt(0));
      if (contents.push(content) % STEP === 0) yield;
    }
    return new AddedTokens(tokens, yield* sorted(contents, compareUnits), begins);
  }

  /** The text between added tokens, never empty, and the ids of the tokens, in their order. */
  split(text: string): (string | number)[] {
    const parts: (string | number)[] = [];
    let done = 0;
    for (let index = 0; index < text.length;) {
      const content = this.#longestAt(text, index);
      if (content === undefined) {
        index += text.codePointAt(index)! > 0xffff ? 2 : 1;
        continue;
      }
      const token = this.#tokens.get(content)!;
      const start = index;
      const end = index += content.length;
      if (start < done || token.singleWord && touchesWord(text, start, end)) continue;
      const before = text.slice(done, start);
      const kept = token.lstrip ? trimEnd(before) : before;
      if (kept !== "") parts.push(kept);
      parts.push(token.id);
      done = token.rstrip ? text.length - trimStart(text.slice(end)).length : end;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }

  /**
   * The longest token that stands at a place: with every unit of the text, the tokens that begin like it
   * become fewer. It takes log n steps for each unit, however many tokens there are.
   */
  #longestAt(text: string, start: number): string | undefined {
    if (!this.#begins.has(text.charCodeAt(start))) return undefined;
    const sorted = this.#sorted;
    let longest: string | undefined;
    let [low, high] = [0, sorted.length];
    for (let length = 0; low < high; length++) {
      // A token that ends here comes before those that go on.
      if (sorted[low]!.length === length && isWhole(text, start + length)) longest = sorted[low];
      if (start + length >= text.length) break;
      const unit = text.charCodeAt(start + length);
      low = lowerBound(sorted, low, high, length, unit);
      high = lowerBound(sorted, low, high, length, unit + 1);
    }
    return longest;
  }
}

/** Whether a character of a word stands right before or after a part of the text. */
function touchesWord(text: string, start: number, end: number): boolean {
  // Two units before, since that is what a character may take.
  return ENDS_WITH_WORD.test(text.slice(Math.max(0, start - 2), start)) ||
    STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

/** Order by units, as `<` has it. */
function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The first of some sorted texts, equal up to `index`, that has a unit of at least `unit` there. */
function lowerBound(
  sorted: readonly string[],
  low: number,
  high: number,
  index: number,
  unit: number,
): number {
  while (low < high) {
    const middle = (low + high) >>> 1;
    const text = sorted[middle]!;
    if (index < text.length && text.charCodeAt(index) >= unit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether a place does not lie inside of a character of two units. */
function isWhole(text: string, place: number): boolean {
  return place === 0 || !(text.codePointAt(place - 1)! > 0xffff);
}
