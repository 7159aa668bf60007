// Tokenizers as transformers 4.57 and 5.18 save them, and what is saved of them again.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { below, changed, type Files, filesOf, folderOf, jsonOf } from "../python_files.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const TODAY = below(filesOf("saved_by_today"), "model/tokenizer");
const JSON_FILE = jsonOf(TODAY["tokenizer.json"]);
const TEXTS = ["a red apple", "Teddy bears, 12 of them!", "é à la carte 🍎", "<|endoftext|> it's"];

/** `tokenizer.json` with other fields, alone. */
function alone(changes: Record<string, unknown> = {}): Files {
  return { "tokenizer.json": JSON.stringify({ ...JSON_FILE, ...changes }) };
}

function withModel(changes: Record<string, unknown>): Files {
  return alone({ model: { ...JSON_FILE.model, ...changes } });
}

/** The files that came before `tokenizer.json`. */
function plain(configs: Record<string, unknown> = {}): Record<string, string> {
  const files: Record<string, string> = {
    "vocab.json": JSON.stringify(JSON_FILE.model.vocab),
    "merges.txt": ["#version: 0.2", ...JSON_FILE.model.merges.map(joined), ""].join("\n"),
  };
  for (const [name, config] of Object.entries(configs)) files[name] = JSON.stringify(config);
  return files;
}

function joined(pair: string[]): string {
  return pair.join(" ");
}

const load = (files: Files) => CLIPTokenizer.fromPretrained(folderOf(files));

async function ids(files: Files): Promise<number[][]> {
  const tokenizer = await load(files);
  return TEXTS.map((text) => tokenizer.encode(text));
}

Deno.test("CLIPTokenizer.fromPretrained() gives the same ids from all files that transformers writes", async () => {
  const expected = await ids(plain());
  assert(expected.every((row) => row[0] === 2046 && row.at(-1) === 2047 && row.length > 3));
  const merges = JSON_FILE.model.merges;
  const texts = merges.map(joined);
  const { "merges.txt": _, ...noMerges } = plain();
  const older: Files = {};
  for (const name of ["tokenizer_config.json", "special_tokens_map.json"]) {
    older[name] = filesOf("tokenizer_4_57_6")[name]!;
  }
  const cases: Files[] = [
    TODAY,
    alone(),
    withModel({ merges: texts }),
    { ...TODAY, ...plain() },
    { ...TODAY, ...noMerges },
    { ...older, ...plain() },
    { ...older, ...alone() },
  ];
  for (const files of cases) assertEquals(await ids(files), expected, Object.keys(files).join());
  assertEquals((await load(TODAY)).modelMaxLength, 32);
  assertEquals((await load(alone())).modelMaxLength, 77);
});

Deno.test("CLIPTokenizer.fromPretrained() begins and ends texts with the tokens of the post-processor", async () => {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const template = {
    type: "TemplateProcessing",
    single: [special("!"), { Sequence: { id: "A", type_id: 0 } }, special("#")],
    pair: [],
    special_tokens: {},
  };
  const sequence = { type: "Sequence", processors: [{ type: "ByteLevel" }, template] };
  const pair = { type: "RobertaProcessing", cls: ["!", 0], sep: ["#", 2] };
  for (const post_processor of [template, sequence, pair]) {
    const tokenizer = await load({ ...TODAY, ...alone({ post_processor }) });
    const { bosTokenId, eosTokenId, padTokenId } = tokenizer;
    assertEquals([bosTokenId, eosTokenId, padTokenId], [0, 2, 2047]);
  }
  for (const post_processor of [null, { type: "ByteLevel" }]) {
    assertEquals((await load(alone({ post_processor }))).encode(""), [2046, 2047]);
  }
});

Deno.test("CLIPTokenizer.fromPretrained() finds the tokens that tokenizer.json adds", async () => {
  const flags = { single_word: false, lstrip: true, rstrip: false, normalized: false };
  const cat = { id: 2048, content: "<cat>", special: false, ...flags };
  const files = { ...TODAY, ...alone({ added_tokens: [...JSON_FILE.added_tokens, cat] }) };
  const tokenizer = await load(files);
  const [red] = tokenizer.encode("red").slice(1);
  assertEquals(tokenizer.encode("red <cat>"), [2046, red!, 2048, 2047]);
  assertEquals(tokenizer.decode([2048]), "<cat>");
  assertEquals(tokenizer.lastToken, { id: 2048, content: "<cat>" });
  assertEquals((await load(TODAY)).lastToken, { id: 2047, content: "<|endoftext|>" });
  await inTemporaryFolder(async (path) => {
    await tokenizer.savePretrained(path);
    const added = jsonOf(await Deno.readFile(`${path}/added_tokens.json`));
    assertEquals(added, { "<cat>": 2048 });
    // What transformers before 4.34 reads: the files that came first.
    await Deno.remove(`${path}/tokenizer.json`);
    const again = await CLIPTokenizer.fromPretrained(path);
    assertEquals(again.encode("red <cat>"), tokenizer.encode("red <cat>"));
  });
});

Deno.test("CLIPTokenizer.fromPretrained() refuses tokenizers of other kinds, by what is other", async () => {
  const cases: [Files, typeof RangeError | typeof SyntaxError, string][] = [
    [
      withModel({ type: "WordPiece" }),
      RangeError,
      'type of the model is "WordPiece", expected "BPE"',
    ],
    [
      withModel({ end_of_word_suffix: null }),
      RangeError,
      "end_of_word_suffix of the model is null",
    ],
    [withModel({ ignore_merges: true }), RangeError, "ignore_merges of the model is true"],
    [withModel({ byte_fallback: true }), RangeError, "byte_fallback of the model is true"],
    [withModel({ merges: [["a"]] }), SyntaxError, "a merge is an array, expected two tokens"],
    [withModel({ merges: null }), SyntaxError, "the model has no list of merges"],
    [withModel({ vocab: [] }), SyntaxError, "vocab of the model: it holds no JSON object"],
    [withModel({ merges: [] }), SyntaxError, "it has no merges"],
    [alone({ added_tokens: [{}] }), SyntaxError, "is no added token"],
    [{ "tokenizer.json": "{" }, SyntaxError, "model/tokenizer.json: it is not valid JSON"],
  ];
  for (const [files, error, message] of cases) {
    await assertRejects(() => load(files), error, message);
  }
});

Deno.test("CLIPTokenizer reads special tokens in every form", () => {
  const flags = { lstrip: false, normalized: false, rstrip: false, single_word: false };
  const tokenOf = (content: string) => ({ content, ...flags });
  const forms: Record<string, Record<string, unknown>>[] = [
    { "special_tokens_map.json": { pad_token: "!", bos_token: "#" } },
    { "special_tokens_map.json": { pad_token: tokenOf("!"), bos_token: tokenOf("#") } },
    {
      "tokenizer_config.json": {
        pad_token: { __type: "AddedToken", ...tokenOf("!") },
        bos_token: { __type: "AddedToken", ...tokenOf("#") },
      },
    },
  ];
  for (const configs of forms) {
    const tokenizer = new CLIPTokenizer(plain(configs));
    assertEquals([tokenizer.padTokenId, tokenizer.bosTokenId], [0, 2]);
  }
  // "$" and "%" become tokens of their own, which are found inside of words.
  const lists: Record<string, unknown>[] = [
    { additional_special_tokens: ["$", tokenOf("%")] },
    { extra_special_tokens: ["$", tokenOf("%")] },
    { extra_special_tokens: { first_token: "$", second_token: tokenOf("%") } },
  ];
  for (const config of lists) {
    for (const name of ["tokenizer_config.json", "special_tokens_map.json"]) {
      const tokenizer = new CLIPTokenizer(plain({ [name]: config }));
      const vocabulary = JSON_FILE.model.vocab;
      assertEquals(tokenizer.encode("%$"), [2046, vocabulary["%"], vocabulary["$"], 2047]);
    }
  }
  for (const extra_special_tokens of [{}, [], null]) {
    new CLIPTokenizer(plain({ "tokenizer_config.json": { extra_special_tokens } }));
  }
  assertThrows(
    () => new CLIPTokenizer(plain({ "tokenizer_config.json": { extra_special_tokens: "x" } })),
    SyntaxError,
    "extra_special_tokens of tokenizer/tokenizer_config.json: it is no list of tokens",
  );
});

Deno.test("CLIPTokenizer refuses merges that were cut, and takes blank lines at their end", async () => {
  const { "merges.txt": merges = "", ...others } = plain();
  const make = (merges: string) => new CLIPTokenizer({ ...others, "merges.txt": merges });
  const expected = make(merges).encode(TEXTS[0]!);
  for (const end of ["\n\n", "\r\n\r\n", "\n \n"]) {
    assertEquals(make(merges + end).encode(TEXTS[0]!), expected);
  }
  const lines = merges.trimEnd().split("\n");
  for (const kept of [1, 2, 700, lines.length - 1]) {
    const message = kept === 1 ? "it has no merges" : "it may have been cut";
    assertThrows(() => make(lines.slice(0, kept).join("\n")), SyntaxError, message);
  }
  assertThrows(
    () => make(""),
    SyntaxError,
    "tokenizer/merges.txt: it has no merges: no two tokens",
  );
  // Cut inside of a line: each place leaves too little or another pair.
  for (let length = merges.length - 20; length < merges.length - 1; length++) {
    assertThrows(() => make(merges.slice(0, length)), SyntaxError, "merges.txt");
  }
  // Tokens that no text can give, such as those of other programs, need no merges.
  const vocabulary = { ...JSON_FILE.model.vocab, "<unk>": 2048, "[PAD]": 2049 };
  new CLIPTokenizer({ ...plain(), "vocab.json": JSON.stringify(vocabulary) });
  await assertRejects(() => load({ ...TODAY, ...others, "merges.txt": "" }), SyntaxError);
});

Deno.test("CLIPTokenizer.savePretrained() writes what versions before and after 5 read", async () => {
  const config = changed(TODAY["tokenizer_config.json"], { extra_special_tokens: ["$", "%"] });
  const tokenizer = await load({ ...TODAY, "tokenizer_config.json": config });
  await inTemporaryFolder(async (path) => {
    await tokenizer.savePretrained(path);
    const saved = jsonOf(await Deno.readFile(`${path}/tokenizer_config.json`));
    // A list of extra_special_tokens is an error in 4.46 to 4.57.
    assertEquals(saved.extra_special_tokens, undefined);
    assertEquals(saved.additional_special_tokens, ["$", "%"]);
    assertEquals([saved.tokenizer_class, saved.model_max_length], ["CLIPTokenizer", 32]);
    assertEquals([saved.is_local, saved.backend], [undefined, undefined]);
    // Versions before 5 leave out the first line, whatever it is.
    const merges = (await Deno.readTextFile(`${path}/merges.txt`)).split("\n");
    assertEquals(merges.slice(0, 2), ["#version: 0.2", JSON_FILE.model.merges[0].join(" ")]);
    const whole = await Deno.readFile(`${path}/tokenizer.json`);
    assertEquals(jsonOf(whole), JSON_FILE);
    const again = await CLIPTokenizer.fromPretrained(path);
    for (const text of [...TEXTS, "%$"]) assertEquals(again.encode(text), tokenizer.encode(text));
  });
  const headless = new CLIPTokenizer({
    ...plain(),
    "merges.txt": JSON_FILE.model.merges.map(joined).join("\n"),
  });
  await inTemporaryFolder(async (path) => {
    await headless.savePretrained(path);
    assert((await Deno.readTextFile(`${path}/merges.txt`)).startsWith("#version: 0.2\n"));
    assertEquals((await CLIPTokenizer.fromPretrained(path)).encode("red"), headless.encode("red"));
  });
});
