/**
 * The tokens of a byte-pair encoding: `vocab.json`.
 *
 * @module
 */

import { describeJson, describeValue } from "../base/check.ts";
import type { Steps } from "../base/pauses.ts";
import { damaged, parseJsonTable } from "./tokenizer_files.ts";

/** Above every id that a real vocabulary has; keeps a damaged file from taking all memory. */
const ID_LIMIT = 2 ** 20;

/** Tokens between two places where reading may be interrupted. */
const STEP = 1000;

/** Marks the tokens that end a word. */
export const END_OF_WORD = "</w>";

/** The tokens of a vocabulary and their ids, both ways. */
export class Vocabulary {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #tokens: readonly (string | undefined)[];

  /**
   * Takes the tokens over.
   *
   * @param ids Id of each token. No id may occur twice.
   * @param tokens The token of each id.
   */
  constructor(ids: ReadonlyMap<string, number>, tokens: readonly (string | undefined)[]) {
    this.#ids = ids;
    this.#tokens = tokens;
  }

  /** Number of tokens. */
  get size(): number {
    return this.#ids.size;
  }

  /** The greatest id, plus one. */
  get idLimit(): number {
    return this.#tokens.length;
  }

  /** The token of the greatest id. */
  get last(): string | undefined {
    return this.#tokens.at(-1);
  }

  /** Id of a token, or undefined if there is no such token. */
  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** The token of an id, or undefined if there is none. */
  token(id: number): string | undefined {
    return this.#tokens[id];
  }
}

/**
 * Reads `vocab.json`: an object of ids by token.
 *
 * @param file What the text is, for error messages.
 * @throws {SyntaxError} If it is anything else, or an id occurs twice.
 */
export function* parseVocabulary(text: string, file: string): Steps<Vocabulary> {
  const ids = yield* parseJsonTable(text, file);
  const tokens: string[] = [];
  let count = 0;
  for (const [token, id] of ids) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= ID_LIMIT) {
      throw damaged(file, `the id of ${describeValue(token)} is ${describeJson(id)}`);
    }
    if (tokens[id] !== undefined) {
      throw damaged(
        file,
        `${describeValue(tokens[id])} and ${describeValue(token)} have id ${id}`,
      );
    }
    tokens[id] = token;
    if (++count % STEP === 0) yield;
  }
  return new Vocabulary(ids as Map<string, number>, tokens);
}
