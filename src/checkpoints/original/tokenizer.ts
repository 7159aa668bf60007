/**
 * The tokenizer of Microsoft's models: CLIP's, padded with id 0.
 *
 * @module
 */

import { parseJson } from "../../base/json.ts";
import { inTurns } from "../../base/pauses.ts";
import { joinPath, MissingFileError } from "../../files/paths.ts";
import type { ModelFolder } from "../../files/source.ts";

const BEGIN = "<|startoftext|>";
const END = "<|endoftext|>";

/** Number of tokens of a prompt, the same in all models. */
const MAX_LENGTH = 77;

/**
 * The files of the tokenizer in the layout of transformers. Only the vocabulary and the merges are taken
 * from a folder, since CLIP's own config pads with another token.
 *
 * @param open Opens a folder with `vocab.json` and `merges.txt`.
 * @returns Texts by the name of the file.
 * @throws {MissingFileError} If there is no such folder or one of its files is not there.
 * @throws {SyntaxError} If the vocabulary is damaged.
 */
export async function tokenizerFiles(
  open: () => Promise<ModelFolder>,
): Promise<Map<string, string>> {
  const [vocabulary, merges] = await readFolder(open);
  const token = (content: string) => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const special = {
    bos_token: token(BEGIN),
    eos_token: token(END),
    pad_token: await firstToken(vocabulary),
    unk_token: token(END),
  };
  const typed = Object.entries(special).map(([name, value]) =>
    [name, typeof value === "string" ? value : { __type: "AddedToken", ...value }] as const
  );
  const config = {
    add_prefix_space: false,
    ...Object.fromEntries(typed),
    do_lower_case: true,
    errors: "replace",
    model_max_length: MAX_LENGTH,
    tokenizer_class: "CLIPTokenizer",
  };
  return new Map([
    ["vocab.json", vocabulary],
    ["merges.txt", merges],
    ["special_tokens_map.json", JSON.stringify(special, null, 2)],
    ["tokenizer_config.json", JSON.stringify(config, null, 2)],
  ]);
}

async function readFolder(open: () => Promise<ModelFolder>): Promise<[string, string]> {
  try {
    const folder = await open();
    return await readVocabulary(folder);
  } catch (cause) {
    if (!(cause instanceof MissingFileError)) throw cause;
    throw new MissingFileError(
      `${cause.message}: an original checkpoint has no tokenizer; give a folder with CLIP's ` +
        `vocab.json and merges.txt, such as openai/clip-vit-base-patch32 of the hub`,
      { cause },
    );
  }
}

/** The texts of `vocab.json` and `merges.txt`, or what `tokenizer.json` says in their place. */
async function readVocabulary(folder: ModelFolder): Promise<[string, string]> {
  try {
    return [await folder.readText("vocab.json"), await folder.readText("merges.txt")];
  } catch (error) {
    if (!(error instanceof MissingFileError) || !await folder.has("tokenizer.json")) throw error;
  }
  const text = await folder.readText("tokenizer.json");
  const { filesOfTokenizerJson } = await import("../tokenizer_json.ts");
  const file = joinPath(folder.description, "tokenizer.json");
  const files = await inTurns(filesOfTokenizerJson(text, {}, file));
  return [files["vocab.json"]!, files["merges.txt"]!];
}

/** The token of id 0, `!` in CLIP's vocabulary, which the models pad with. */
async function firstToken(vocabulary: string): Promise<string> {
  let ids: unknown;
  try {
    ids = await inTurns(parseJson(vocabulary, [{ path: [] }]));
  } catch (cause) {
    throw new SyntaxError("Cannot read vocab.json: it is not valid JSON", { cause });
  }
  for (const [token, id] of ids instanceof Map ? ids : []) if (id === 0) return token;
  throw new SyntaxError("Cannot read vocab.json: no token has id 0");
}
