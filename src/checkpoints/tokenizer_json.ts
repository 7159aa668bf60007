/**
 * `tokenizer.json`, the one file of a tokenizer since transformers 5, as the files that came before it.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import { type JsonTable, parseJson } from "../base/json.ts";
import type { Steps } from "../base/pauses.ts";

/** Texts of files by name; those that are not there are undefined. */
type Texts = Readonly<Record<string, string | undefined>>;

type JsonObject = Readonly<Record<string, unknown>>;

/** Where a tokenizer was loaded from and by what, which later versions save with it. */
const NOT_SAVED = ["backend", "is_local", "local_files_only"];

/** Tokens between two places where work may be interrupted. */
const STEP = 1000;

/** Key of the added tokens, by id, in a config. */
const DECODER = "added_tokens_decoder";

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
export function* filesOfTokenizerJson(
  text: string,
  texts: Texts,
  file: string,
): Steps<Record<string, string>> {
  const json = yield* parseObject(text, file, { path: ["model", "vocab"] });
  const model = objectOf(json["model"], `${file}: model`);
  for (const [key, supported] of Object.entries(MODEL_VALUES)) {
    if (supported.includes(model[key])) continue;
    throw new RangeError(
      `Cannot use ${file}: ${key} of the model is ${describeValue(model[key])}, expected ` +
        describeValue(supported.at(-1)),
    );
  }
  const vocabulary: unknown = model["vocab"];
  if (!(vocabulary instanceof Map)) throw noObject(`${file}: vocab of the model`);
  const added = yield* addedTokens(json["added_tokens"] ?? [], file);
  const beyond = new Map<string, number>();
  for (const [id, { content }] of added) {
    if (!vocabulary.has(content)) beyond.set(content, id);
    if (beyond.size % STEP === 0) yield;
  }
  const beside = function* (name: string): Steps<JsonObject> {
    return yield* parseObject(texts[name] ?? "{}", file.replace(/[^/]*$/, () => name), {
      path: [DECODER],
      byNumber: true,
    });
  };
  const { [DECODER]: listed, ...config } = yield* tokenizerConfig(json, model, beside);
  const decoder = yield* extended(added, listed instanceof Map ? listed : new Map());
  const files: Record<string, string> = {
    "vocab.json": yield* tableText(vocabulary),
    "merges.txt": yield* mergesText(model["merges"], file),
    "tokenizer_config.json": toText(config, [DECODER, yield* tableText(decoder)]),
    "special_tokens_map.json": texts["special_tokens_map.json"] ?? toText(specialTokens(config)),
    "tokenizer.json": text,
  };
  if (beyond.size > 0) files["added_tokens.json"] = `${yield* tableText(beyond)}\n`;
  return files;
}

/** The members of two tables, of which the second one goes before the first. */
function* extended(
  first: ReadonlyMap<number, unknown>,
  second: ReadonlyMap<number, unknown>,
): Steps<Map<number, unknown>> {
  const all = new Map<number, unknown>();
  for (const table of [first, second]) {
    for (const [key, value] of table) if (all.set(key, value).size % STEP === 0) yield;
  }
  return all;
}

/** A token that the file adds to the vocabulary, or takes out of texts before they are divided. */
interface AddedToken {
  readonly content: string;
  readonly [flag: string]: unknown;
}

/** The config, with what only `tokenizer.json` says of it but for the tokens that it adds. */
function* tokenizerConfig(
  json: JsonObject,
  model: JsonObject,
  read: (name: string) => Steps<JsonObject>,
): Steps<Record<string, unknown>> {
  const config: Record<string, unknown> = { ...yield* read("tokenizer_config.json") };
  // Files that list the added tokens themselves are newer; a map beside them does not count.
  if (!config[DECODER]) {
    Object.assign(config, withoutNulls(yield* read("special_tokens_map.json")));
  }
  for (const key of NOT_SAVED) delete config[key];
  config["unk_token"] ??= model["unk_token"];
  const padding = json["padding"];
  if (isObject(padding)) config["pad_token"] ??= padding["pad_token"];
  Object.assign(config, boundaryTokens(json["post_processor"]));
  return {
    ...withoutNulls(config),
    tokenizer_class: config["tokenizer_class"] ?? "CLIPTokenizer",
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
function* mergesText(merges: unknown, file: string): Steps<string> {
  if (!Array.isArray(merges)) throw damaged(file, "the model has no list of merges");
  let text = "#version: 0.2\n";
  for (const [i, merge] of merges.entries()) {
    if (i % STEP === 0) yield;
    const isPair = Array.isArray(merge) && merge.length === 2 &&
      merge.every((token) => typeof token === "string");
    if (!isPair && typeof merge !== "string") {
      throw damaged(file, `a merge is ${describeValue(merge)}, expected two tokens`);
    }
    text += `${isPair ? merge.join(" ") : merge}\n`;
  }
  return text;
}

/** Added tokens by id, as `added_tokens_decoder` has them. */
function* addedTokens(list: unknown, file: string): Steps<Map<number, AddedToken>> {
  if (!Array.isArray(list)) throw damaged(file, "added_tokens is no list");
  const tokens = new Map<number, AddedToken>();
  for (const [i, token] of list.entries()) {
    if (i % STEP === 0) yield;
    if (!isObject(token) || typeof token["content"] !== "string") {
      throw damaged(file, `${describeValue(token)} is no added token`);
    }
    const { id, content, ...flags } = token;
    tokens.set(Number(id), { content, ...flags } as AddedToken);
  }
  return tokens;
}

/** The special tokens that a config names, as `special_tokens_map.json` has them. */
function specialTokens(config: JsonObject): Record<string, unknown> {
  const names = ["bos_token", "eos_token", "unk_token", "pad_token", "additional_special_tokens"];
  return Object.fromEntries(names.flatMap((name) => name in config ? [[name, config[name]]] : []));
}

/** The text of an object that has members, with a last one of which the text is given. */
function toText(json: JsonObject, last?: readonly [key: string, text: string]): string {
  const text = JSON.stringify(json, null, 2);
  if (!last) return `${text}\n`;
  return `${text.slice(0, -2)},\n  ${JSON.stringify(last[0])}: ${last[1]}\n}\n`;
}

/** The text of a table, with a member on each line. */
function* tableText(table: ReadonlyMap<string | number, unknown>): Steps<string> {
  let text = "{";
  let count = 0;
  for (const [key, value] of table) {
    if (count % STEP === 0) yield;
    text += `${count++ === 0 ? "" : ","}\n${JSON.stringify(`${key}`)}: ${JSON.stringify(value)}`;
  }
  return `${text}\n}`;
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value != null));
}

function* parseObject(text: string, file: string, table: JsonTable): Steps<JsonObject> {
  let json: unknown;
  try {
    json = yield* parseJson(text, [table]);
  } catch (cause) {
    throw damaged(file, "it is not valid JSON", cause);
  }
  return objectOf(json, file);
}

function objectOf(value: unknown, what: string): JsonObject {
  if (isObject(value)) return value;
  throw noObject(what);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function noObject(what: string): SyntaxError {
  return damaged(what, "it holds no JSON object");
}

function damaged(file: string, reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${file}: ${reason}`, { cause });
}
