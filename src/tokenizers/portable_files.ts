/**
 * Files of a tokenizer as all versions of transformers read them.
 *
 * @module
 */

import { inTurns, type Steps } from "../base/pauses.ts";
import type { FolderWriter } from "../files/folder_writer.ts";
import { parseJsonObject, type TokenizerFiles } from "./tokenizer_files.ts";

const CONFIG = "tokenizer_config.json";
const MERGES = "merges.txt";

/** Files that are read beside the vocabulary and the merges, here or by transformers. */
const BESIDE = [CONFIG, "special_tokens_map.json", "added_tokens.json", "tokenizer.json"];

/** Writes the files that {@linkcode portableFiles} gives, and has those of another tokenizer removed. */
export async function writePortableFiles(
  files: TokenizerFiles,
  target: FolderWriter,
): Promise<void> {
  const portable = await inTurns(portableFiles(files));
  for (const [name, text] of Object.entries(portable)) await target.writeText(name, text);
  for (const name of BESIDE) if (!Object.hasOwn(portable, name)) target.remove?.(name);
}

/**
 * The files, but for what some versions cannot read:
 *
 * - Version 5 writes lists of `extra_special_tokens`, of which 4.46 to 4.57 expect an object. All read
 *   `additional_special_tokens`.
 * - Versions before 5 leave out the first line of `merges.txt`, which says its version.
 */
export function* portableFiles(files: TokenizerFiles): Steps<TokenizerFiles> {
  const changes: Record<string, string> = {};
  const merges = files[MERGES] ?? "";
  if (!merges.startsWith("#version")) changes[MERGES] = `#version: 0.2\n${merges}`;
  const json = yield* parseJsonObject(files[CONFIG] ?? "{}", CONFIG);
  const { extra_special_tokens: extra, ...config } = json;
  if (Array.isArray(extra)) {
    const additional = config["additional_special_tokens"];
    const tokens = Array.isArray(additional) ? [...additional, ...extra] : extra;
    const portable = { ...config, additional_special_tokens: [...new Set(tokens)] };
    changes[CONFIG] = `${JSON.stringify(portable, null, 2)}\n`;
  }
  return { ...files, ...changes };
}
