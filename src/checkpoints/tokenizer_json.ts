/**
 * `tokenizer.json`, the one file of a tokenizer since transformers 5, as the files that came before it.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";

/** Texts of files by name; those that are not there are undefined. */
type Texts = Readonly<Record<string, string | undefined>>;

type JsonObject = Readonly<Record<string, unknown>>;

/** Where a tokenizer was loaded from and by what, which later versions save with it. */
const NOT_SAVED = ["backend", "is_local", "local_files_only"];

/** What the texts of a byte-pair encoding of another kind than CLIP's would say. */
const MODEL_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  type: ["BPE"],
  end_of_word_suffix: ["</w>"],
  continuing_subword_prefix: [undefined, null, ""],
  dropout: [undefined, null, 0],
  byte_fallback: [undefined, null, false],
  ignore_merges: [undefined, null, false],
};

/**
 * The files that a tokenizer without `tokenizer.json` has: `vocab.json`, `merges.txt` and the configs, in
 * which all tokens are that `tokenizer.json` adds. All versions of transformers read them.
 *
 * @param text The text of `tokenizer.json`.
 * @param texts The texts of the configs that lie beside it.
 * @param file What `tokenizer.json` is, for error messages: a path or URL.
 * @throws {SyntaxError} If it is damaged.
 * @throws {RangeError} If it is no tokenizer of CLIP's kind.
 */
export function filesOfTokenizerJson(
  text: string,
  texts: Texts,
  file: string,
): Record<string, string> {
  const json = parseObject(text, file);
  const model = objectOf(json["model"], `${file}: model`);
  for (const [key, supported] of Object.entries(MODEL_VALUES)) {
    if (supported.includes(model[key])) continue;
    throw new RangeError(
      `Cannot use ${file}: ${key} of the model is ${describeValue(model[key])}, expected ` +
        describeValue(supported.at(-1)),
    );
  }
  const vocabulary = objectOf(model["vocab"], `${file}: vocab of the model`);
  const added = addedTokens(json["added_tokens"] ?? [], file);
  const beyond = Object.entries(added).filter(([, { content }]) =>
    !Object.hasOwn(vocabulary, content)
  );
  const beside = (name: string): JsonObject => {
    const text = texts[name];
    return text === undefined ? {} : parseObject(text, file.replace(/[^/]*$/, () => name));
  };
  const config = tokenizerConfig(json, model, added, beside);
  const files: Record<string, string> = {
    "vocab.json": JSON.stringify(vocabulary),
    "merges.txt": mergesText(model["merges"], file),
    "tokenizer_config.json": toText(config),
    "special_tokens_map.json": texts["special_tokens_map.json"] ?? toText(specialTokens(config)),
    "tokenizer.json": text,
  };
  if (beyond.length > 0) {
    const ids = beyond.map(([id, { content }]) => [content, Number(id)]);
    files["added_tokens.json"] = toText(Object.fromEntries(ids));
  }
  return files;
}

/** A token that the file adds to the vocabulary, or takes out of texts before they are divided. */
interface AddedToken {
  readonly content: string;
  readonly [flag: string]: unknown;
}

/** The config, with what only `tokenizer.json` says of it. */
function tokenizerConfig(
  json: JsonObject,
  model: JsonObject,
  added: Readonly<Record<string, AddedToken>>,
  read: (name: string) => JsonObject,
): Record<string, unknown> {
  const config: Record<string, unknown> = { ...read("tokenizer_config.json") };
  const decoder = config["added_tokens_decoder"] as object | undefined;
  // Files that list the added tokens themselves are newer; a map beside them does not count.
  if (!decoder) Object.assign(config, withoutNulls(read("special_tokens_map.json")));
  for (const key of NOT_SAVED) delete config[key];
  config["unk_token"] ??= model["unk_token"];
  const padding = json["padding"];
  if (isObject(padding)) config["pad_token"] ??= padding["pad_token"];
  Object.assign(config, boundaryTokens(json["post_processor"]));
  return {
    ...withoutNulls(config),
    tokenizer_class: config["tokenizer_class"] ?? "CLIPTokenizer",
    added_tokens_decoder: { ...added, ...decoder },
  };
}

/**
 * The tokens that the post-processor begins and ends texts with, which go before those of the config:
 * they are what a tokenizer of transformers adds.
 */
function boundaryTokens(processor: unknown): Record<string, string> {
  if (!isObject(processor)) return {};
  const { type, processors, single, cls, sep } = processor;
  if (type === "Sequence" && Array.isArray(processors)) {
    return Object.assign({}, ...processors.map(boundaryTokens));
  }
  const tokens = type === "TemplateProcessing" && Array.isArray(single)
    ? [single[0], single.length > 1 ? single.at(-1) : undefined].map(specialTokenOf)
    : [cls, sep].map((pair) => Array.isArray(pair) ? pair[0] : undefined);
  const named = ["bos_token", "eos_token"].map((key, i) => [key, tokens[i]]);
  return Object.fromEntries(named.filter(([, token]) => typeof token === "string"));
}

/** The text of a special token in a template such as `[{ SpecialToken: { id, type_id } }, …]`. */
function specialTokenOf(part: unknown): unknown {
  const token = isObject(part) ? part["SpecialToken"] : undefined;
  return isObject(token) ? token["id"] : undefined;
}

/** Pairs, as `"a b"` or as `["a", "b"]`, line by line below the line that old versions leave out. */
function mergesText(merges: unknown, file: string): string {
  if (!Array.isArray(merges)) throw damaged(file, "the model has no list of merges");
  const lines = merges.map((merge: unknown) => {
    if (typeof merge === "string") return merge;
    const isPair = Array.isArray(merge) && merge.length === 2 &&
      merge.every((token) => typeof token === "string");
    if (isPair) return merge.join(" ");
    throw damaged(file, `a merge is ${describeValue(merge)}, expected two tokens`);
  });
  return ["#version: 0.2", ...lines, ""].join("\n");
}

/** Added tokens by id, as `added_tokens_decoder` has them. */
function addedTokens(list: unknown, file: string): Record<string, AddedToken> {
  if (!Array.isArray(list)) throw damaged(file, "added_tokens is no list");
  return Object.fromEntries(list.map((token: unknown) => {
    if (!isObject(token) || typeof token["content"] !== "string") {
      throw damaged(file, `${describeValue(token)} is no added token`);
    }
    const { id, content, ...flags } = token;
    return [String(id), { content, ...flags } as AddedToken];
  }));
}

/** The special tokens that a config names, as `special_tokens_map.json` has them. */
function specialTokens(config: JsonObject): Record<string, unknown> {
  const names = ["bos_token", "eos_token", "unk_token", "pad_token", "additional_special_tokens"];
  return Object.fromEntries(names.flatMap((name) => name in config ? [[name, config[name]]] : []));
}

function toText(json: JsonObject): string {
  return `${JSON.stringify(json, null, 2)}\n`;
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value != null));
}

function parseObject(text: string, file: string): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged(file, "it is not valid JSON", cause);
  }
  return objectOf(json, file);
}

function objectOf(value: unknown, what: string): JsonObject {
  if (isObject(value)) return value;
  throw damaged(what, "it holds no JSON object");
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function damaged(file: string, reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${file}: ${reason}`, { cause });
}
