/**
 * The merges of a byte-pair encoding: `merges.txt`.
 *
 * @module
 */

import { escapeControls } from "../base/check.ts";
import type { Steps } from "../base/pauses.ts";
import { splitWords } from "./clip_text.ts";
import { damaged } from "./tokenizer_files.ts";
import { END_OF_WORD, type Vocabulary } from "./vocabulary.ts";

/** Slot of the hash table that holds no pair. */
const EMPTY = -1;

/** Merges or tokens between two places where reading may be interrupted. */
const STEP = 1000;

/** More than a real file has; keeps a damaged one from taking many times the memory of its own length. */
const MOST_LINES = 2 ** 21;

/** Bits of an id that are looked up at once when a pair is hashed. */
const PART_BITS = 10;
const PART_MASK = 2 ** PART_BITS - 1;

/**
 * The pairs of tokens that may be joined. The rank of a pair is its place in the list: lower ones
 * are joined first.
 *
 * A hash table with linear probing over typed arrays: a `Map` would need a string or a number on the
 * heap for each of the 48894 pairs, and start-up time counts. The hash is a random one in every table,
 * by tabulation, which needs a constant number of steps for any pairs (Pătraşcu and Thorup, "The Power
 * of Simple Tabulation Hashing", 2012): no file can choose pairs that collide.
 */
export class MergeTable {
  /** Random numbers for each value of the low and high parts of both ids. */
  readonly #random = crypto.getRandomValues(new Uint32Array(4 * (PART_MASK + 1)));
  readonly #mask: number;
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #rank: Int32Array;
  readonly #merged: Int32Array;
  #size = 0;

  /** Makes an empty table with room for so many pairs. */
  constructor(capacity: number) {
    // At most half of the slots are taken, so that a search ends soon.
    const slots = 2 ** Math.ceil(Math.log2(2 * capacity + 2));
    this.#mask = slots - 1;
    this.#left = new Int32Array(slots).fill(EMPTY);
    this.#right = new Int32Array(slots);
    this.#rank = new Int32Array(slots);
    this.#merged = new Int32Array(capacity);
  }

  /** Adds a pair of ids and the id of what they make. A pair that is there gets the new rank. */
  set(left: number, right: number, rank: number, merged: number): void {
    const slot = this.#slot(left, right);
    this.#left[slot] = left;
    this.#right[slot] = right;
    this.#rank[slot] = rank;
    this.#merged[rank] = merged;
    this.#size = Math.max(this.#size, rank + 1);
  }

  /** Rank of a pair of ids, or −1 if they may not be joined. */
  rank(left: number, right: number): number {
    const slot = this.#slot(left, right);
    return this.#left[slot] === EMPTY ? -1 : this.#rank[slot]!;
  }

  /** Number of pairs that were added. */
  get size(): number {
    return this.#size;
  }

  /** For each id below a limit 1 if a pair makes it, else 0. */
  products(limit: number): Uint8Array {
    const isMade = new Uint8Array(limit);
    for (const id of this.#merged.subarray(0, this.#size)) isMade[id] = 1;
    return isMade;
  }

  /** Id of what the pair of a rank makes. */
  merged(rank: number): number {
    return this.#merged[rank]!;
  }

  /** The slot of a pair, or the empty one where it belongs. */
  #slot(left: number, right: number): number {
    const random = this.#random;
    const hash = random[left & PART_MASK]! ^
      random[(PART_MASK + 1) + (left >>> PART_BITS & PART_MASK)]! ^
      random[2 * (PART_MASK + 1) + (right & PART_MASK)]! ^
      random[3 * (PART_MASK + 1) + (right >>> PART_BITS & PART_MASK)]!;
    let slot = hash & this.#mask;
    while (
      this.#left[slot] !== EMPTY && (this.#left[slot] !== left || this.#right[slot] !== right)
    ) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

/**
 * Reads `merges.txt`: on each line two tokens with a space between them; lines that begin with
 * `#version` do not count, and neither do blank ones at the end.
 *
 * @param file What the text is, for error messages.
 * @throws {SyntaxError} If a line is anything else, or names tokens that the vocabulary lacks.
 */
export function* parseMerges(
  text: string,
  vocabulary: Vocabulary,
  file: string,
): Steps<MergeTable> {
  const table = new MergeTable(yield* countLines(text, file));
  const content = text.trimEnd().length;
  let [rank, number] = [0, 0];
  for (let begin = 0, end = 0; begin < content; begin = end + 1) {
    if (number++ % STEP === 0) yield;
    end = text.indexOf("\n", begin);
    if (end < 0) end = text.length;
    const line = text.slice(begin, text[end - 1] === "\r" ? end - 1 : end);
    if (line.startsWith("#version")) continue;
    const space = line.indexOf(" ");
    const left = line.slice(0, space);
    const right = line.slice(space + 1);
    const leftId = vocabulary.id(left);
    const rightId = vocabulary.id(right);
    const mergedId = vocabulary.id(left + right);
    if (
      space < 1 || leftId === undefined || rightId === undefined || mergedId === undefined
    ) {
      throw damaged(file, `line ${number} ${fault(line, vocabulary)}`);
    }
    table.set(leftId, rightId, rank++, mergedId);
  }
  return table;
}

/** Number of lines, of which no more are looked for than there may be. */
function* countLines(text: string, file: string): Steps<number> {
  let count = 1;
  for (let place = text.indexOf("\n"); place >= 0; place = text.indexOf("\n", place + 1)) {
    if (++count > MOST_LINES) throw damaged(file, `it has more than ${MOST_LINES} lines`);
    if (count % STEP === 0) yield;
  }
  return count;
}

/**
 * Checks that merges make all tokens of a vocabulary: those of a file that was cut make the first ones
 * only, and texts would silently get other ids.
 *
 * @param isSpecial Whether a token is one that nothing has to make.
 * @param file What the merges are, for error messages.
 * @throws {SyntaxError} If a token is longer than a byte and no pair makes it.
 */
export function* checkComplete(
  merges: MergeTable,
  vocabulary: Vocabulary,
  isSpecial: (token: string) => boolean,
  file: string,
): Steps<void> {
  const isMade = merges.products(vocabulary.idLimit);
  for (let id = 0; id < isMade.length; id++) {
    if (id % STEP === 0) yield;
    if (isMade[id]) continue;
    const token = vocabulary.token(id);
    if (token === undefined || isSpecial(token)) continue;
    const content = token.endsWith(END_OF_WORD) ? token.slice(0, -END_OF_WORD.length) : token;
    if (content.length < 2 || !isWord(content)) continue;
    const what = merges.size === 0 ? "it has no merges" : "it may have been cut";
    throw damaged(file, `${what}: no two tokens make ${quote(token)} of vocab.json`);
  }
}

/** Whether merges could make a token: its bytes have to be of one word. `<unk>` has three. */
function isWord(content: string): boolean {
  const isAscii = /^[\x21-\x7e]+$/.test(content);
  return !isAscii || content === content.toLowerCase() && splitWords(content).length === 1;
}

/** What is wrong with a line of `merges.txt`. */
function fault(line: string, vocabulary: Vocabulary): string {
  const [left, right, ...others] = line.split(" ", 3);
  if (!left || !right || others.length > 0) return `is ${quote(line)}, expected two tokens`;
  const missing = [left, right].find((token) => vocabulary.id(token) === undefined);
  return `needs the token ${quote(missing ?? left + right)}, which vocab.json lacks`;
}

/** A text for an error message, cut if it is long. */
function quote(text: string): string {
  return escapeControls(JSON.stringify(text.length > 40 ? text.slice(0, 40) + "…" : text));
}
