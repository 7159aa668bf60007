import type { TokenizerFiles } from "../../src/tokenizers/tokenizer_files.ts";

/** The folder of CLIP's tokenizer and its golden cases. */
export const TOKENIZER = new URL("../fixtures/tokenizer/", import.meta.url);

/** The cases of a golden file. */
export async function goldenCases<T>(name: string): Promise<readonly T[]> {
  return JSON.parse(await Deno.readTextFile(new URL(name, TOKENIZER))).cases;
}

/** CLIP's vocabulary, with configs (objects) of one's own beside it. */
export async function clipFiles(configs: Record<string, unknown> = {}): Promise<TokenizerFiles> {
  const files: Record<string, string> = {};
  for (const name of ["vocab.json", "merges.txt"]) {
    files[name] = await Deno.readTextFile(new URL(name, TOKENIZER));
  }
  for (const [name, config] of Object.entries(configs)) files[name] = JSON.stringify(config);
  return files;
}

/** A vocabulary of the bytes, `ab` at the end of a word, and CLIP's special tokens. */
export function tinyFiles(changes: Record<string, string> = {}): TokenizerFiles {
  const tokens = ["a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"];
  return {
    "vocab.json": JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    "merges.txt": "#version: 0.2\na b</w>\n",
    ...changes,
  };
}
