import { assertEquals, assertThrows } from "@std/assert";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { clipFiles, tinyFiles } from "./fixtures.ts";

/** A token of `added_tokens_decoder`. */
function added(content: string, flags: Record<string, boolean>): Record<string, unknown> {
  const off = { lstrip: false, normalized: false, rstrip: false, single_word: false };
  return { content, special: false, ...off, ...flags };
}

/** A tokenizer of the tiny vocabulary with these configs. */
function tiny(configs: Record<string, unknown>): CLIPTokenizer {
  const texts = Object.entries(configs).map(([name, config]) => [name, JSON.stringify(config)]);
  return new CLIPTokenizer(tinyFiles(Object.fromEntries(texts)), "model");
}

// The ids of this and the next tests are those of transformers 5.17 with the same files.
Deno.test("CLIPTokenizer finds the tokens of added_tokens_decoder by their flags", async () => {
  const tokenizer = new CLIPTokenizer(
    await clipFiles({
      "tokenizer_config.json": {
        added_tokens_decoder: {
          4326: added("dog", { single_word: true }),
          49406: added("<|startoftext|>", { normalized: true, special: true }),
          49407: added("<|endoftext|>", { special: true }),
          49408: added("<Cat Toy>", { normalized: true }),
          49409: added("[M]", { lstrip: true, rstrip: true, special: true }),
          49410: added("[MM]]", { lstrip: true, special: true }),
        },
      },
      "special_tokens_map.json": { pad_token: "?" },
    }),
  );
  assertEquals(tokenizer.padTokenId, 49407);
  const cases: [string, number[]][] = [
    ["a <Cat Toy> and <cat  toy>", [320, 49408, 537, 49408]],
    ["dog dogs a_dog dog½ (dog)", [4326, 3255, 320, 318, 1929, 4326, 33613, 263, 4326, 264]],
    ["x  [M]  y[MM]] z", [343, 49409, 344, 49410, 345]],
    ["[MM]]dog<Cat Toy>", [49410, 4326, 49408]],
    ["<|EndOfText|> <|STARTOFTEXT|>", [27, 347, 40786, 4160, 91, 285, 49406]],
  ];
  for (const [text, ids] of cases) assertEquals(tokenizer.encode(text).slice(1, -1), ids, text);
  const ids = tokenizer.encode("x  [M]  y[MM]] z");
  assertEquals(tokenizer.decode(ids), "<|startoftext|>x [M]y [MM]]z <|endoftext|>");
  assertEquals(tokenizer.decode(ids, { skipSpecialTokens: true }), "x y z");
});

Deno.test("CLIPTokenizer finds the tokens of added_tokens.json", async () => {
  const tokenizer = new CLIPTokenizer(
    await clipFiles({
      "special_tokens_map.json": { additional_special_tokens: ["<sks>"] },
      "added_tokens.json": { "<sks>": 49408, "<Style 1>": 49409 },
    }),
  );
  assertEquals(
    tokenizer.encode("<sks> photo, <SKS>"),
    [49406, 49408, 1125, 267, 49408, 49407],
  );
  assertEquals(tokenizer.encode("<style\n1>!"), [49406, 49409, 256, 49407]);
  assertEquals(tokenizer.vocabSize, 49408);
});

Deno.test("CLIPTokenizer looks for special tokens in lower-cased text only if they say so", async () => {
  const plain = new CLIPTokenizer(await clipFiles());
  assertEquals(
    plain.encode("<|STARTOFTEXT|>'s <|endoftext|>"),
    [49406, 27, 347, 993, 6659, 4160, 91, 285, 568, 49407, 49407],
  );
  const normalized = new CLIPTokenizer(
    await clipFiles({
      "special_tokens_map.json": { bos_token: added("<|startoftext|>", { normalized: true }) },
    }),
  );
  assertEquals(normalized.encode("<|STARTOFTEXT|>"), [49406, 49406, 49407]);
});

Deno.test("CLIPTokenizer takes the pad token from the first file that names one", () => {
  const config = { "tokenizer_config.json": { pad_token: "a" } };
  assertEquals(tiny(config).padTokenId, 0);
  const map = { ...config, "special_tokens_map.json": { pad_token: { content: "b" } } };
  assertEquals(tiny(map).padTokenId, 1);
  const none = { ...config, "special_tokens_map.json": { pad_token: null } };
  assertEquals(tiny(none).padTokenId, 0);
});

Deno.test("CLIPTokenizer.modelMaxLength is 77 unless the files tell", () => {
  const lengths = [[8, 8], [1e30, 77], [null, 77], [undefined, 77]] as const;
  for (const [model_max_length, expected] of lengths) {
    const tokenizer = tiny({ "tokenizer_config.json": { model_max_length } });
    assertEquals(tokenizer.modelMaxLength, expected);
  }
});

Deno.test("CLIPTokenizer names the config that is damaged", () => {
  const cases: [file: string, config: unknown, message: string][] = [
    ["tokenizer_config.json", [], "model/tokenizer_config.json: it holds no JSON object"],
    ["special_tokens_map.json", { pad_token: 5 }, "special_tokens_map.json: 5 is no token"],
    ["special_tokens_map.json", { pad_token: "" }, '"" is no token'],
    [
      "special_tokens_map.json",
      { pad_token: "[PAD]" },
      'pad_token of model/special_tokens_map.json: "[PAD]" is not in the vocabulary',
    ],
    ["special_tokens_map.json", { additional_special_tokens: "x" }, "it is no list of tokens"],
    ["added_tokens.json", { x: "y" }, 'the id of "x" is NaN'],
    ["added_tokens.json", { x: 0 }, '"x" and "a" have id 0'],
    ["added_tokens.json", { x: 9, y: 9 }, '"y" and "x" have id 9'],
    ["added_tokens.json", { a: 9 }, 'the id of "a" is 9, in vocab.json it is 0'],
    ["tokenizer_config.json", { added_tokens_decoder: 5 }, "it is no object"],
    ["tokenizer_config.json", { added_tokens_decoder: { 9: {} } }, "{} is no token"],
  ];
  for (const [file, config, message] of cases) {
    assertThrows(() => tiny({ [file]: config }), SyntaxError, message);
  }
  const notJson = tinyFiles({ "tokenizer_config.json": "{" });
  assertThrows(() => new CLIPTokenizer(notJson), SyntaxError, "it is not valid JSON");
  assertThrows(
    () => tiny({ "tokenizer_config.json": { model_max_length: 1 } }),
    RangeError,
    "model_max_length is 1",
  );
});
