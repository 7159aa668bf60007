/**
 * Byte-pair encoding of single words (Sennrich et al., arXiv:1508.07909) over bytes, as in GPT-2
 * and CLIP.
 *
 * @module
 */

import { byteCharacters } from "./byte_characters.ts";
import type { MergeTable } from "./merge_table.ts";
import { MinHeap } from "./min_heap.ts";
import { END_OF_WORD, type Vocabulary } from "./vocabulary.ts";

/** Entries of the heap are rank · this + position, so that they sort by rank, then from the left. */
const POSITIONS = 2 ** 32;

/** Place in a word that no token begins at any more. */
const JOINED = -1;

/** Encodes words: bytes first, joined pair by pair. */
export class BytePairEncoding {
  readonly #merges: MergeTable;
  /** Id of each byte inside a word, then of each byte at its end. */
  readonly #byteIds = new Int32Array(2 * 256);
  readonly #utf8 = new TextEncoder();

  /**
   * Prepares the ids of single bytes.
   *
   * @param unknownId Stands for bytes that the vocabulary lacks.
   */
  constructor(vocabulary: Vocabulary, merges: MergeTable, unknownId: number) {
    this.#merges = merges;
    for (const [byte, character] of byteCharacters().entries()) {
      this.#byteIds[byte] = vocabulary.id(character) ?? unknownId;
      this.#byteIds[256 + byte] = vocabulary.id(character + END_OF_WORD) ?? unknownId;
    }
  }

  /** Ids of the tokens of a word, which must not be empty. */
  encode(word: string): number[] {
    const bytes = this.#utf8.encode(word);
    const ids = Int32Array.from(bytes, (byte) => this.#byteIds[byte]!);
    const last = bytes.length - 1;
    ids[last] = this.#byteIds[256 + bytes[last]!]!;
    this.#merge(ids);
    return Array.from(ids).filter((id) => id !== JOINED);
  }

  /**
   * Joins the pair of the lowest rank, the leftmost of equals, until there is none. A token stands
   * at the place of its first byte; the other places become {@linkcode JOINED}. The heap makes it
   * n log n steps for n bytes. It may hold pairs that are gone: a place only ever gets longer
   * tokens, so a pair of the same rank at the same place is the same pair.
   */
  #merge(ids: Int32Array): void {
    const length = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const heap = new MinHeap();
    const rankAt = (place: number): number =>
      place < 0 || next[place]! >= length ? -1 : this.#merges.rank(ids[place]!, ids[next[place]!]!);
    const offer = (place: number): void => {
      const rank = rankAt(place);
      if (rank >= 0) heap.push(rank * POSITIONS + place);
    };
    for (let place = 0; place < length - 1; place++) offer(place);
    for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
      const rank = Math.floor(entry / POSITIONS);
      const place = entry % POSITIONS;
      if (ids[place] === JOINED || rankAt(place) !== rank) continue;
      const joined = next[place]!;
      const after = next[joined]!;
      ids[place] = this.#merges.merged(rank);
      ids[joined] = JOINED;
      next[place] = after;
      if (after < length) previous[after] = place;
      offer(previous[place]!);
      offer(place);
    }
  }
}
