/**
 * The files of a tokenizer, and what damaged ones are answered with.
 *
 * @module
 */

import { type JsonTable, parseJson } from "../base/json.ts";
import { inTurns, type Steps } from "../base/pauses.ts";
import { joinPath, meansAbsence } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";

/** Files without which there is no tokenizer, unless there is {@linkcode WHOLE}. */
const REQUIRED = ["vocab.json", "merges.txt"];

/** Files that say how it is configured. */
const OPTIONAL = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/** The file that takes the place of those, since transformers 5. */
const WHOLE = "tokenizer.json";

/** Texts of the files of a tokenizer, by name. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/**
 * Reads the files of a tokenizer that are there. Where `vocab.json` or `merges.txt` is not,
 * `tokenizer.json` is read, and the others are made of it.
 *
 * @throws {MissingFileError} If neither are there.
 * @throws {SyntaxError | RangeError} If `tokenizer.json` is damaged, or no tokenizer of CLIP's kind.
 */
export async function readTokenizerFiles(folder: ModelFolder): Promise<TokenizerFiles> {
  const read = await Promise.all([...REQUIRED, ...OPTIONAL].map(async (name) => {
    return [name, await readIfThere(folder, name)] as const;
  }));
  const missing = read.find(([name, text]) => REQUIRED.includes(name) && typeof text !== "string");
  const texts = Object.fromEntries(
    read.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
  if (!missing) return texts;
  const whole = await readIfThere(folder, WHOLE);
  if (typeof whole !== "string") throw missing[1];
  const { filesOfTokenizerJson } = await import("../checkpoints/tokenizer_json.ts");
  return await inTurns(filesOfTokenizerJson(whole, texts, joinPath(folder.description, WHOLE)));
}

/** The text of a file, or the error if there is none. */
async function readIfThere(folder: ModelFolder, name: string): Promise<unknown> {
  try {
    return await folder.readText(name);
  } catch (error) {
    if (meansAbsence(error)) return error;
    throw error;
  }
}

/**
 * Parses a JSON file that must hold an object.
 *
 * @param file What the text is, for error messages.
 * @param tables The objects in it that are given as a `Map`.
 * @throws {SyntaxError} If it holds anything else.
 */
export function* parseJsonObject(
  text: string,
  file: string,
  tables?: readonly JsonTable[],
): Steps<Readonly<Record<string, unknown>>> {
  const json = yield* parseFile(text, file, tables);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw damaged(file, "it holds no JSON object");
  }
  return json as Record<string, unknown>;
}

/**
 * Parses a JSON file that must hold an object, and may hold very many members.
 *
 * @param file What the text is, for error messages.
 * @throws {SyntaxError} If it holds anything else.
 */
export function* parseJsonTable(text: string, file: string): Steps<Map<string, unknown>> {
  const json = yield* parseFile(text, file, [{ path: [] }]);
  if (!(json instanceof Map)) throw damaged(file, "it holds no JSON object");
  return json;
}

function* parseFile(
  text: string,
  file: string,
  tables: readonly JsonTable[] | undefined,
): Steps<unknown> {
  try {
    return yield* parseJson(text, tables);
  } catch (cause) {
    throw damaged(file, "it is not valid JSON", cause);
  }
}

/** The error for a damaged file. */
export function damaged(file: string, reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${file}: ${reason}`, cause === undefined ? {} : { cause });
}
