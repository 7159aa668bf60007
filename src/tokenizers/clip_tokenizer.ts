/**
 * The tokenizer of CLIP.
 *
 * @module
 */

import { atOnce, inTurns } from "../base/pauses.ts";
import { openFolder, type OpenFolderOptions } from "../checkpoints/folders.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import type { ModelFolder } from "../files/source.ts";
import { byteCharacters } from "./byte_characters.ts";
import { BytePairEncoding } from "./byte_pair_encoding.ts";
import { normalizeText, splitWords, trimEnd, trimStart } from "./clip_text.ts";
import { type FoundTokens, ParsedFiles, parseFiles } from "./parsed_files.ts";
import { readTokenizerFiles, type TokenizerFiles } from "./tokenizer_files.ts";
import { END_OF_WORD, type Vocabulary } from "./vocabulary.ts";

/** Options of {@linkcode CLIPTokenizer.fromPretrained}. */
export interface TokenizerFromPretrainedOptions extends OpenFolderOptions {
  /** Folder inside `source`, such as `"tokenizer"`. Default: `source` itself. */
  readonly subfolder?: string | undefined;
}

/** Options of {@linkcode CLIPTokenizer.call}. */
export interface TokenizeOptions {
  /**
   * Whether to add pad tokens at the end: up to `maxLength`, up to the longest text, or not at all.
   * Default: false.
   */
  readonly padding?: "maxLength" | "longest" | false | undefined;
  /** Number of tokens to pad and truncate to. Default: the tokenizer's `modelMaxLength`. */
  readonly maxLength?: number | undefined;
  /** Whether longer texts lose tokens at the end, but for the one that ends the text. Default: false. */
  readonly truncation?: boolean | undefined;
}

/** Texts as ids: one row for each text. */
export interface TokenizedTexts {
  /** Ids of the tokens. */
  readonly inputIds: number[][];
  /** 1 for tokens of the text, 0 for padding. */
  readonly attentionMask: number[][];
}

/** Options of {@linkcode CLIPTokenizer.decode}. */
export interface DecodeOptions {
  /** Whether to leave the tokens out that begin, end and pad texts. Default: false. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/**
 * CLIP's tokenizer: byte-level byte-pair encoding of lower-cased text, with the ids of transformers'
 * fast `CLIPTokenizer`. The pad token is the one that the files name; whatever it is, it is found in
 * texts as a token of its own. (The converted ithq checkpoint pads with `!`.)
 *
 * @example
 * ```ts
 * import { CLIPTokenizer } from "@vq-diffusion/vq-diffusion";
 *
 * const tokenizer = await CLIPTokenizer.fromPretrained("model/tokenizer");
 * tokenizer.encode("teddy bear"); // [49406, 11798, 4298, 49407]
 * ```
 */
export class CLIPTokenizer {
  /** Number of tokens that the text encoder takes; 77 if the files do not say. */
  readonly modelMaxLength: number;
  /** Id of the token that begins a text. */
  readonly bosTokenId: number;
  /** Id of the token that ends a text. */
  readonly eosTokenId: number;
  /** Id of the token that short texts are padded with. */
  readonly padTokenId: number;

  readonly #files: TokenizerFiles;
  readonly #vocabulary: Vocabulary;
  readonly #encoding: BytePairEncoding;
  readonly #addedTokens: FoundTokens;

  /**
   * Makes a tokenizer of the texts of its files.
   *
   * @param files `vocab.json`, `merges.txt`, and where there are such, `tokenizer_config.json`,
   * `special_tokens_map.json` and `added_tokens.json`.
   * @param description The folder they come from, for error messages.
   * @throws {SyntaxError} If a file is damaged, or does not fit the others.
   * @throws {TypeError} If `vocab.json` or `merges.txt` is not given.
   */
  constructor(files: TokenizerFiles, description?: string);
  /** @ignore Of files that have been read. */
  constructor(parsed: ParsedFiles);
  constructor(source: TokenizerFiles | ParsedFiles, description = "tokenizer") {
    const parsed = source instanceof ParsedFiles ? source : atOnce(parseFiles(source, description));
    const { files, vocabulary, config, merges, addedTokens } = parsed;
    this.#files = files;
    this.#vocabulary = vocabulary;
    this.#encoding = new BytePairEncoding(vocabulary, merges, config.unkTokenId);
    this.#addedTokens = addedTokens;
    this.modelMaxLength = config.modelMaxLength;
    this.bosTokenId = config.bosTokenId;
    this.eosTokenId = config.eosTokenId;
    this.padTokenId = config.padTokenId;
  }

  /**
   * Loads a tokenizer.
   *
   * @param source A folder in the layout of transformers, such as `model/tokenizer`, or its URL: with
   *   `vocab.json` and `merges.txt`, or with `tokenizer.json`.
   * @throws {MissingFileError} If neither are there.
   * @throws {RangeError} If `tokenizer.json` is of a tokenizer of another kind than CLIP's.
   * @throws {SyntaxError} If a file is damaged, or does not fit the others.
   */
  static async fromPretrained(
    source: string | URL | ModelFolder,
    options: TokenizerFromPretrainedOptions = {},
  ): Promise<CLIPTokenizer> {
    const root = await openFolder(source, options);
    const folder = options.subfolder === undefined ? root : root.folder(options.subfolder);
    const files = await readTokenizerFiles(folder);
    return new CLIPTokenizer(await inTurns(parseFiles(files, folder.description)));
  }

  /**
   * Saves the files that the tokenizer was made of: `vocab.json` and `merges.txt`, which all versions of
   * transformers read, and those beside them. They are unchanged but for what some versions cannot read.
   * Files of another tokenizer that it does not have are removed.
   *
   * @param target Path of a folder, which is made if need be; or a folder that is being written.
   */
  async savePretrained(target: string | FolderWriter): Promise<void> {
    if (typeof target !== "string") {
      const { writePortableFiles } = await import("./portable_files.ts");
      return await writePortableFiles(this.#files, target);
    }
    const { writeFolder } = await import("../files/folder_writer.ts");
    await using folder = await writeFolder(target);
    await this.savePretrained(folder);
    await folder.commit();
  }

  /** Number of tokens in the vocabulary. */
  get vocabSize(): number {
    return this.#vocabulary.size;
  }

  /** The token of the greatest id that texts can get, those included that were added. */
  get lastToken(): { readonly id: number; readonly content: string } {
    const content = this.#vocabulary.last ?? "";
    let last = { id: this.#vocabulary.id(content) ?? 0, content };
    for (const token of this.#addedTokens.byId.values()) if (token.id > last.id) last = token;
    return { id: last.id, content: last.content };
  }

  /** The texts of the files it was made of, by name, to save it unchanged. */
  files(): TokenizerFiles {
    return { ...this.#files };
  }

  /**
   * Ids of a text of any length, with the tokens that begin and end it.
   *
   * @throws {TypeError} If it is no string.
   */
  encode(text: string): number[] {
    return [this.bosTokenId, ...this.#contentIds(text), this.eosTokenId];
  }

  /**
   * Ids of one or several texts, padded and truncated as asked for. (A class cannot be called in
   * JavaScript; this is `tokenizer(texts)` of transformers.)
   *
   * @throws {TypeError} If a text is no string.
   * @throws {RangeError} If an option has no meaning, or `maxLength` leaves no room for the tokens
   * that begin and end a text.
   */
  call(texts: string | readonly string[], options: TokenizeOptions = {}): TokenizedTexts {
    const { padding = false, maxLength = this.modelMaxLength, truncation = false } = options;
    checkOptions(padding, maxLength);
    const batch = typeof texts === "string" ? [texts] : texts;
    if (!Array.isArray(batch)) {
      throw new TypeError(
        `Cannot tokenize ${typeof texts}: expected a string or a list of strings`,
      );
    }
    const rows = batch.map((text: string) => {
      const ids = this.#contentIds(text);
      if (truncation && ids.length > maxLength - 2) ids.length = maxLength - 2;
      return [this.bosTokenId, ...ids, this.eosTokenId];
    });
    const longest = rows.reduce((most, row) => Math.max(most, row.length), 0);
    const width = padding === "maxLength" ? maxLength : padding === "longest" ? longest : 0;
    const pads = rows.map((row) => Math.max(0, width - row.length));
    return {
      inputIds: rows.map((row, i) => [...row, ...Array(pads[i]!).fill(this.padTokenId)]),
      attentionMask: rows.map((row, i) => [...row.map(() => 1), ...Array(pads[i]!).fill(0)]),
    };
  }

  /**
   * The text of ids, in lower case and with a space after each word. Bytes that are no UTF-8 become
   * U+FFFD.
   *
   * @throws {RangeError} If an id is not in the vocabulary.
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const bytes: number[] = [];
    for (const id of ids) {
      const added = this.#addedTokens.byId.get(id);
      if (added?.special && options.skipSpecialTokens) continue;
      const token = added?.content ?? this.#vocabulary.token(id);
      if (token === undefined) {
        throw new RangeError(`Cannot decode token ids: ${id} is not in the vocabulary`);
      }
      for (const byte of bytesOf(token)) bytes.push(byte);
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes));
    return trimStart(trimEnd(text.replaceAll(END_OF_WORD, " ")));
  }

  /** Ids of a text without the tokens that begin and end it. */
  #contentIds(text: string): number[] {
    if (typeof text !== "string") {
      throw new TypeError(`Cannot tokenize ${typeof text}: expected a string`);
    }
    const ids: number[] = [];
    for (const part of this.#addedTokens.raw.split(text)) {
      const parts = typeof part === "number"
        ? [part]
        : this.#addedTokens.normalized.split(normalizeText(part));
      for (const piece of parts) {
        if (typeof piece === "number") ids.push(piece);
        else {
          for (const word of splitWords(piece)) {
            for (const id of this.#encoding.encode(word)) ids.push(id);
          }
        }
      }
    }
    return ids;
  }
}

function checkOptions(padding: unknown, maxLength: number): void {
  if (padding !== false && padding !== "maxLength" && padding !== "longest") {
    throw new RangeError(
      `Cannot tokenize the texts: padding is ${padding}, expected "maxLength", "longest" or false`,
    );
  }
  if (!Number.isInteger(maxLength) || maxLength < 2) {
    throw new RangeError(
      `Cannot tokenize the texts: maxLength is ${maxLength}, expected an integer above 1`,
    );
  }
}

const BYTES = new Map(byteCharacters().map((character, byte) => [character, byte]));

/** Bytes of a token: those that its characters stand for, or UTF-8 if one stands for none. */
function bytesOf(token: string): Iterable<number> {
  const bytes = Array.from(token, (character) => BYTES.get(character));
  return bytes.every((byte) => byte !== undefined) ? bytes : new TextEncoder().encode(token);
}
