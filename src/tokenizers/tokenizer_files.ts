/**
 * The files of a tokenizer, and what damaged ones are answered with.
 *
 * @module
 */

import { MissingFileError } from "../files/paths.ts";
import type { ModelFolder } from "../files/source.ts";

/** Files without which there is no tokenizer. */
const REQUIRED = ["vocab.json", "merges.txt"];

/** Files that say how it is configured. */
const OPTIONAL = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/** Texts of the files of a tokenizer, by name. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/**
 * Reads the files of a tokenizer that are there.
 *
 * @throws {MissingFileError} If `vocab.json` or `merges.txt` is not.
 */
export async function readTokenizerFiles(folder: ModelFolder): Promise<TokenizerFiles> {
  const texts = await Promise.all([...REQUIRED, ...OPTIONAL].map(async (name) => {
    try {
      return [[name, await folder.readText(name)]];
    } catch (error) {
      if (error instanceof MissingFileError && OPTIONAL.includes(name)) return [];
      throw error;
    }
  }));
  return Object.fromEntries(texts.flat());
}

/**
 * Parses a JSON file that must hold an object.
 *
 * @param file What the text is, for error messages.
 * @throws {SyntaxError} If it holds anything else.
 */
export function parseJsonObject(text: string, file: string): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged(file, "it is not valid JSON", cause);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw damaged(file, "it holds no JSON object");
  }
  return json as Record<string, unknown>;
}

/** The error for a damaged file. */
export function damaged(file: string, reason: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot read ${file}: ${reason}`, cause === undefined ? {} : { cause });
}
