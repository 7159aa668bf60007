/**
 * What the files of a tokenizer say.
 *
 * @module
 */

import type { Steps } from "../base/pauses.ts";
import { joinPath } from "../files/paths.ts";
import { type AddedToken, AddedTokens } from "./added_tokens.ts";
import { normalizeText } from "./clip_text.ts";
import { checkComplete, type MergeTable, parseMerges } from "./merge_table.ts";
import { parseTokenizerConfig, type TokenizerConfig } from "./tokenizer_config.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";
import { parseVocabulary, type Vocabulary } from "./vocabulary.ts";

/** Tokens between two places where reading may be interrupted. */
const STEP = 1000;

/** The tokens that are found in a text before it is divided into words. */
export interface FoundTokens {
  /** All of them by their ids. */
  readonly byId: ReadonlyMap<number, AddedToken>;
  /** Those that are looked for in the text itself. */
  readonly raw: AddedTokens;
  /** Those that are looked for in the normalized text. */
  readonly normalized: AddedTokens;
}

/** The files of a tokenizer, and what they say. */
export class ParsedFiles {
  /** Holds what was read. */
  constructor(
    readonly files: TokenizerFiles,
    readonly vocabulary: Vocabulary,
    readonly config: TokenizerConfig,
    readonly merges: MergeTable,
    readonly addedTokens: FoundTokens,
  ) {}
}

/**
 * Reads the texts of the files of a tokenizer.
 *
 * @param description The folder they come from, for error messages.
 * @throws {SyntaxError} If a file is damaged, or does not fit the others.
 * @throws {TypeError} If `vocab.json` or `merges.txt` is not given.
 */
export function* parseFiles(files: TokenizerFiles, description: string): Steps<ParsedFiles> {
  const { "vocab.json": vocabularyText, "merges.txt": mergesText } = files;
  if (vocabularyText === undefined || mergesText === undefined) {
    throw new TypeError(`Cannot make a tokenizer: ${description} lacks vocab.json or merges.txt`);
  }
  const vocabulary = yield* parseVocabulary(vocabularyText, joinPath(description, "vocab.json"));
  const config = yield* parseTokenizerConfig(files, vocabulary, description);
  const mergesFile = joinPath(description, "merges.txt");
  const merges = yield* parseMerges(mergesText, vocabulary, mergesFile);
  const isAdded = (token: string) => config.addedTokens.has(token);
  yield* checkComplete(merges, vocabulary, isAdded, mergesFile);
  const addedTokens = yield* findable(config.addedTokens);
  return new ParsedFiles(files, vocabulary, config, merges, addedTokens);
}

function* findable(tokens: ReadonlyMap<string, AddedToken>): Steps<FoundTokens> {
  const byId = new Map<number, AddedToken>();
  const raw = new Map<string, AddedToken>();
  const normalized = new Map<string, AddedToken>();
  for (const [content, token] of tokens) {
    byId.set(token.id, token);
    if (token.normalized) normalized.set(normalizeText(content), token);
    else raw.set(content, token);
    if ((raw.size + normalized.size) % STEP === 0) yield;
  }
  return {
    byId,
    raw: yield* AddedTokens.prepare(raw),
    normalized: yield* AddedTokens.prepare(normalized),
  };
}
