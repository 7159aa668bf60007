/**
 * Tokens that are found in a text before it is divided into words.
 *
 * @module
 */

import { trimEnd, trimStart } from "./clip_text.ts";

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
  readonly #pattern: RegExp | undefined;

  /**
   * Prepares the search.
   *
   * @param tokens The tokens by how they are written in the texts that will be cut.
   */
  constructor(tokens: ReadonlyMap<string, AddedToken>) {
    this.#tokens = tokens;
    // The longest first, so that it wins where several begin.
    const contents = [...tokens.keys()].sort((a, b) => b.length - a.length);
    if (contents.length > 0) this.#pattern = new RegExp(contents.map(escape).join("|"), "gu");
  }

  /** The text between added tokens, never empty, and the ids of the tokens, in their order. */
  split(text: string): (string | number)[] {
    if (!this.#pattern) return text === "" ? [] : [text];
    const parts: (string | number)[] = [];
    let done = 0;
    for (const { 0: content, index } of text.matchAll(this.#pattern)) {
      const token = this.#tokens.get(content)!;
      const end = index + content.length;
      if (index < done || token.singleWord && touchesWord(text, index, end)) continue;
      const before = text.slice(done, index);
      const kept = token.lstrip ? trimEnd(before) : before;
      if (kept !== "") parts.push(kept);
      parts.push(token.id);
      done = token.rstrip ? text.length - trimStart(text.slice(end)).length : end;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }
}

/** Whether a character of a word stands right before or after a part of the text. */
function touchesWord(text: string, start: number, end: number): boolean {
  // Two units before, since that is what a character may take.
  return ENDS_WITH_WORD.test(text.slice(Math.max(0, start - 2), start)) ||
    STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

/** A text as a regular expression that matches only itself. */
function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
