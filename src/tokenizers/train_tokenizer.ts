/**
 * A tokenizer that is made for given texts.
 *
 * @module
 */

import { checkInteger, checkOptions } from "../base/check.ts";
import { byteCharacters } from "./byte_characters.ts";
import { normalizeText, splitWords } from "./clip_text.ts";
import { CLIPTokenizer } from "./clip_tokenizer.ts";
import { END_OF_WORD } from "./vocabulary.ts";

/** Options of {@linkcode trainTokenizer}. */
export interface TrainTokenizerOptions {
  /** The most tokens: 512 of single bytes, two that begin and end texts, the rest of pairs. Default 2048. */
  readonly vocabSize?: number | undefined;
  /** Number of tokens that the text encoder is to take. Default 32. */
  readonly modelMaxLength?: number | undefined;
}

const TASK = "train a tokenizer";

/** Tokens that begin and end texts. */
const [BEGIN, END] = ["<|startoftext|>", "<|endoftext|>"];

/** How often a pair has to occur to become a token. */
const LEAST_COUNT = 2;

/**
 * Makes a tokenizer of CLIP's kind for texts: byte-pair encoding (Sennrich et al., arXiv:1508.07909), which
 * joins the most frequent pair of tokens again and again; of equals the first in the order of
 * characters. Any text can be encoded with it, byte by byte where need be.
 *
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { trainTokenizer } from "@vq-diffusion/vq-diffusion/tokenizers";
 *
 * const tokenizer = trainTokenizer(["a red apple", "a red car", "a blue car"]);
 * tokenizer.encode("a red car").length; // 5
 * ```
 */
export function trainTokenizer(
  texts: Iterable<string>,
  options: TrainTokenizerOptions = {},
): CLIPTokenizer {
  checkOptions(TASK, options, ["vocabSize", "modelMaxLength"]);
  const { vocabSize = 2048, modelMaxLength = 32 } = options;
  // Ordered by characters, as in CLIP's own vocabulary.
  const bytes = byteCharacters().toSorted();
  const single = [...bytes, ...bytes.map((character) => character + END_OF_WORD)];
  const least = single.length + 2;
  checkInteger({ task: TASK, name: "vocabSize" }, vocabSize, { min: least, max: 2 ** 20 });
  checkInteger({ task: TASK, name: "modelMaxLength" }, modelMaxLength, { min: 2 });
  const merges = new PairCounts(texts).merges(vocabSize - least);
  const tokens = [...single, ...merges.map(([left, right]) => left + right), BEGIN, END];
  const special = { bos_token: BEGIN, eos_token: END, pad_token: END, unk_token: END };
  const config = {
    ...special,
    model_max_length: modelMaxLength,
    do_lower_case: true,
    tokenizer_class: "CLIPTokenizer",
  };
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return new CLIPTokenizer({
    "vocab.json": json(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    "merges.txt": ["#version: 0.2", ...merges.map((pair) => pair.join(" ")), ""].join("\n"),
    "tokenizer_config.json": json(config),
    "special_tokens_map.json": json(special),
  });
}

/** Two tokens that follow each other. */
type Pair = readonly [left: string, right: string];

/** A word, and how often it occurs. */
interface Word {
  /** Its tokens so far. */
  tokens: string[];
  readonly count: number;
}

/** A pair, how often it occurs, and where. */
interface PairCount {
  readonly pair: Pair;
  count: number;
  readonly words: Set<Word>;
}

/** How often pairs of tokens occur in the words of texts. */
class PairCounts {
  /** By both tokens with a space between them, which no token has. */
  readonly #pairs = new Map<string, PairCount>();

  constructor(texts: Iterable<string>) {
    const counts = new Map<string, number>();
    for (const text of texts) {
      for (const word of splitWords(normalizeText(text))) {
        counts.set(word, (counts.get(word) ?? 0) + 1);
      }
    }
    for (const [text, count] of counts) this.#count({ tokens: bytesOf(text), count }, 1);
  }

  /** Joins the most frequent pairs, at most so many. */
  merges(most: number): Pair[] {
    const merges: Pair[] = [];
    while (merges.length < most) {
      const best = this.#best();
      if (best === undefined || best.count < LEAST_COUNT) break;
      merges.push(best.pair);
      for (const word of [...best.words]) {
        this.#count(word, -1);
        word.tokens = joined(word.tokens, best.pair);
        this.#count(word, 1);
      }
    }
    return merges;
  }

  #best(): PairCount | undefined {
    let best: PairCount | undefined;
    for (const one of this.#pairs.values()) {
      if (best === undefined || comesBefore(one, best)) best = one;
    }
    return best;
  }

  /** Takes the pairs of a word in, or out. */
  #count(word: Word, sign: 1 | -1): void {
    const { tokens, count } = word;
    for (let i = 1; i < tokens.length; i++) {
      const pair = [tokens[i - 1]!, tokens[i]!] as const;
      const key = pair.join(" ");
      const entry = this.#pairs.get(key) ?? { pair, count: 0, words: new Set() };
      entry.count += sign * count;
      if (sign > 0) entry.words.add(word);
      else entry.words.delete(word);
      if (entry.count === 0) this.#pairs.delete(key);
      else this.#pairs.set(key, entry);
    }
  }
}

function comesBefore(one: PairCount, other: PairCount): boolean {
  if (one.count !== other.count) return one.count > other.count;
  const [[left, right], [otherLeft, otherRight]] = [one.pair, other.pair];
  return left < otherLeft || left === otherLeft && right < otherRight;
}

/** The tokens of a word as long as nothing is joined. */
function bytesOf(word: string): string[] {
  const characters = byteCharacters();
  const tokens = Array.from(new TextEncoder().encode(word), (byte) => characters[byte]!);
  tokens.push(tokens.pop() + END_OF_WORD);
  return tokens;
}

/** Tokens with a pair joined wherever it is, from the left. */
function joined(tokens: readonly string[], [left, right]: Pair): string[] {
  const out: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const isPair = tokens[i] === left && tokens[i + 1] === right;
    out.push(isPair ? left + right : tokens[i]!);
    if (isPair) i++;
  }
  return out;
}
