/**
 * The configuration of a tokenizer: `tokenizer_config.json`, `special_tokens_map.json` and
 * `added_tokens.json`, read as transformers' `PreTrainedTokenizerBase.from_pretrained` does.
 *
 * @module
 */

import { describeJson, describeValue } from "../base/check.ts";
import type { Steps } from "../base/pauses.ts";
import { integerField } from "../checkpoints/config.ts";
import { joinPath } from "../files/paths.ts";
import type { AddedToken } from "./added_tokens.ts";
import {
  damaged,
  parseJsonObject,
  parseJsonTable,
  type TokenizerFiles,
} from "./tokenizer_files.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Positions of CLIP's text encoder. */
const CLIP_MAX_LENGTH = 77;

/** From here on, `model_max_length` stands for "not known" in files of transformers. */
const UNKNOWN_LENGTH = 1e20;

/** Names of special tokens, in the order in which transformers adds them, with CLIP's defaults. */
const SPECIAL_TOKENS = {
  bos_token: "<|startoftext|>",
  eos_token: "<|endoftext|>",
  unk_token: "<|endoftext|>",
  sep_token: undefined,
  pad_token: "<|endoftext|>",
  cls_token: undefined,
  mask_token: undefined,
} as const;

/** Keys of lists of further special tokens. */
const SPECIAL_TOKEN_LISTS = ["additional_special_tokens", "extra_special_tokens"];

/** Key of the added tokens by id, where they are listed. */
export const DECODER = "added_tokens_decoder";

/** What is to be read as a table of them. */
export const ADDED_TOKENS_DECODER = { path: [DECODER], byNumber: true } as const;

/** What the files of a tokenizer say beside the vocabulary. */
export interface TokenizerConfig {
  /** Tokens that are found in a text before it is divided into words, by content. */
  readonly addedTokens: ReadonlyMap<string, AddedToken>;
  /** Id of the token that begins a text. */
  readonly bosTokenId: number;
  /** Id of the token that ends a text. */
  readonly eosTokenId: number;
  /** Id of the token that short texts are padded with. */
  readonly padTokenId: number;
  /** Id of the token that stands for what the vocabulary lacks. */
  readonly unkTokenId: number;
  /** Number of tokens that the text encoder takes. */
  readonly modelMaxLength: number;
}

/**
 * Reads the configuration from the files that are there. Where they say nothing, CLIP's own values
 * count.
 *
 * @param description The folder, for error messages.
 * @throws {SyntaxError} If a file is damaged, or names a token without an id.
 * @throws {TypeError | RangeError} If `model_max_length` is no integer above 1.
 */
export function* parseTokenizerConfig(
  files: TokenizerFiles,
  vocabulary: Vocabulary,
  description: string,
): Steps<TokenizerConfig> {
  const config = yield* optionalObject(files, "tokenizer_config.json", description);
  const decoder = config.json[DECODER];
  // Files that list the added tokens themselves are newer; the older ones beside them do not count.
  const map = decoder === undefined
    ? yield* optionalObject(files, "special_tokens_map.json", description)
    : config;
  const added = new AddedTokenList(vocabulary);
  if (decoder !== undefined) {
    yield* added.addDecoder(decoder, `${DECODER} of ${config.file}`);
  } else {
    const text = files["added_tokens.json"];
    const file = joinPath(description, "added_tokens.json");
    if (text !== undefined) yield* added.addLegacy(yield* parseJsonTable(text, file), file);
  }
  const value = (key: string): [value: unknown, where: string] => {
    const { json, file } = map.json[key] == null ? config : map;
    return [json[key] ?? undefined, `${key} of ${file}`];
  };
  const ids: Record<string, number> = {};
  for (const [key, fallback] of Object.entries(SPECIAL_TOKENS)) {
    const [token = fallback, where] = value(key);
    if (token !== undefined) ids[key] = added.addSpecial(token, where);
  }
  for (const key of SPECIAL_TOKEN_LISTS) {
    const [list = [], where] = value(key);
    if (typeof list !== "object" || list === null) throw damaged(where, "it is no list of tokens");
    // Tokens of a model's own have names in some versions: { image_token: "<image>" }.
    for (const [i, token] of Object.values(list).entries()) {
      if (!added.tokens.has(contentOf(token, where))) added.addSpecial(token, where);
      if (i % STEP === 0) yield;
    }
  }
  return {
    addedTokens: added.tokens,
    bosTokenId: ids["bos_token"]!,
    eosTokenId: ids["eos_token"]!,
    padTokenId: ids["pad_token"]!,
    unkTokenId: ids["unk_token"]!,
    modelMaxLength: maxLength(config),
  };
}

/** A JSON file and its name, for error messages. */
interface JsonFile {
  readonly json: Readonly<Record<string, unknown>>;
  readonly file: string;
}

function* optionalObject(
  files: TokenizerFiles,
  name: string,
  description: string,
): Steps<JsonFile> {
  const file = joinPath(description, name);
  return { json: yield* parseJsonObject(files[name] ?? "{}", file, [ADDED_TOKENS_DECODER]), file };
}

function maxLength({ json, file }: JsonFile): number {
  if (Number(json["model_max_length"]) >= UNKNOWN_LENGTH) return CLIP_MAX_LENGTH;
  const config = { description: file, values: json };
  return integerField(config, "model_max_length", { default: CLIP_MAX_LENGTH, min: 2 });
}

/** Added tokens between two places where reading may be interrupted. */
const STEP = 1000;

/** The added tokens as they are read; of those with the same content, the last one counts. */
class AddedTokenList {
  readonly tokens: Map<string, AddedToken> = new Map();
  readonly #vocabulary: Vocabulary;
  /** Tokens whose flags are given by a list of added tokens, not where special tokens are named. */
  readonly #listed = new Map<string, AddedToken>();
  readonly #contents = new Map<number, string>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** Adds `added_tokens_decoder`: tokens by id. */
  *addDecoder(decoder: unknown, where: string): Steps<void> {
    if (!(decoder instanceof Map)) throw damaged(where, "it is no object");
    for (const [id, token] of decoder) {
      const added = this.#add(token, id, flag(token, "special"), where);
      this.#listed.set(added.content, { ...added, special: true });
      if (this.tokens.size % STEP === 0) yield;
    }
  }

  /** Adds `added_tokens.json`: ids by token. */
  *addLegacy(ids: ReadonlyMap<string, unknown>, file: string): Steps<void> {
    for (const [content, id] of ids) {
      const added = this.#add(content, Number(id), false, file);
      this.#listed.set(content, { ...added, special: true, normalized: false });
      if (this.tokens.size % STEP === 0) yield;
    }
  }

  /** Adds a special token, whose id must be known, and gives the id. */
  addSpecial(token: unknown, where: string): number {
    const content = contentOf(token, where);
    const listed = this.#listed.get(content);
    const id = listed?.id ?? this.#vocabulary.id(content);
    if (id === undefined) {
      throw damaged(where, `${describeValue(content)} is not in the vocabulary`);
    }
    if (listed) this.tokens.set(content, listed);
    else this.#add(token, id, true, where);
    return id;
  }

  #add(token: unknown, id: number, special: boolean, where: string): AddedToken {
    const content = contentOf(token, where);
    this.#checkId(id, content, where);
    this.#contents.set(id, content);
    const added: AddedToken = {
      content,
      id,
      normalized: flag(token, "normalized", !special),
      lstrip: flag(token, "lstrip"),
      rstrip: flag(token, "rstrip"),
      singleWord: flag(token, "single_word"),
      special,
    };
    this.tokens.set(content, added);
    return added;
  }

  /** An added token may stand in the vocabulary too, but with the same id, which no other has. */
  #checkId(id: number, content: string, where: string): void {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw damaged(where, `the id of ${describeValue(content)} is ${id}`);
    }
    const known = this.#vocabulary.id(content);
    if (known !== undefined && known !== id) {
      throw damaged(
        where,
        `the id of ${describeValue(content)} is ${id}, in vocab.json it is ${known}`,
      );
    }
    const owner = this.#vocabulary.token(id) ?? this.#contents.get(id);
    if (owner !== undefined && owner !== content) {
      throw damaged(where, `${describeValue(content)} and ${describeValue(owner)} have id ${id}`);
    }
  }
}

/** The text of a token, which files give by itself or with flags. */
function contentOf(token: unknown, where: string): string {
  const content = typeof token === "object" && token !== null && "content" in token
    ? token.content
    : token;
  if (typeof content !== "string" || content === "") {
    throw damaged(where, `${describeJson(token)} is no token`);
  }
  return content;
}

function flag(token: unknown, name: string, fallback = false): boolean {
  const value = typeof token === "object" && token !== null
    ? (token as Record<string, unknown>)[name]
    : undefined;
  return typeof value === "boolean" ? value : fallback;
}
