import { assertEquals, assertThrows } from "@std/assert";
import { atOnce } from "../../src/base/pauses.ts";
import { parseMerges } from "../../src/tokenizers/merge_table.ts";
import { parseVocabulary } from "../../src/tokenizers/vocabulary.ts";

Deno.test("parseVocabulary() takes any token, whatever JavaScript makes of its name", () => {
  const text = '{"__proto__": 0, "constructor": 1, "7": 2, "": 5}';
  const vocabulary = atOnce(parseVocabulary(text, "vocab.json"));
  assertEquals(vocabulary.size, 4);
  assertEquals(["__proto__", "constructor", "7", ""].map((token) => vocabulary.id(token)), [
    0,
    1,
    2,
    5,
  ]);
  assertEquals(vocabulary.token(0), "__proto__");
  assertEquals(vocabulary.token(3), undefined);
  assertEquals(vocabulary.id("toString"), undefined);
});

Deno.test("parseVocabulary() refuses damaged files", () => {
  const cases: [text: string, message: string][] = [
    ["", "it is not valid JSON"],
    ['{"a": 0', "it is not valid JSON"],
    ["null", "it holds no JSON object"],
    ['["a"]', "it holds no JSON object"],
    ['{"a": "0"}', 'the id of "a" is "0"'],
    ['{"a": -1}', 'the id of "a" is -1'],
    ['{"a": 0.5}', 'the id of "a" is 0.5'],
    ['{"a": 1e15}', 'the id of "a" is 1000000000000000'],
    ['{"a": 3, "b": 3}', '"a" and "b" have id 3'],
  ];
  for (const [text, message] of cases) {
    assertThrows(
      () => atOnce(parseVocabulary(text, "model/vocab.json")),
      SyntaxError,
      `Cannot read model/vocab.json: ${message}`,
    );
  }
});

const VOCABULARY = atOnce(
  parseVocabulary('{"a": 0, "b": 1, "ab": 2, "aa": 3, "aaa": 4}', "vocab.json"),
);

Deno.test("parseMerges() ranks the pairs in the order of the lines", () => {
  for (const end of ["\n", "\r\n"]) {
    const lines = ["#version: 0.2", "a b", "a a", "a aa"];
    const merges = atOnce(parseMerges(lines.join(end) + end, VOCABULARY, "merges.txt"));
    assertEquals([merges.rank(0, 1), merges.rank(0, 0), merges.rank(0, 3)], [0, 1, 2]);
    assertEquals(merges.rank(1, 0), -1);
    assertEquals([0, 1, 2].map((rank) => merges.merged(rank)), [2, 3, 4]);
  }
  assertEquals(atOnce(parseMerges("", VOCABULARY, "merges.txt")).rank(0, 0), -1);
});

Deno.test("parseMerges() refuses damaged files", () => {
  const cases: [text: string, message: string][] = [
    ["a b\nab\n", 'line 2 is "ab", expected two tokens'],
    ["aa", 'line 1 is "aa", expected two tokens'],
    ["a b\n\na a", 'line 2 is "", expected two tokens'],
    ["a b a", 'line 1 is "a b a", expected two tokens'],
    [" a", 'line 1 is " a", expected two tokens'],
    ["a c", 'line 1 needs the token "c", which vocab.json lacks'],
    ["b a", 'line 1 needs the token "ba", which vocab.json lacks'],
    ["x".repeat(1000), `line 1 is "${"x".repeat(40)}…", expected two tokens`],
  ];
  for (const [text, message] of cases) {
    assertThrows(
      () => atOnce(parseMerges(text, VOCABULARY, "model/merges.txt")),
      SyntaxError,
      `Cannot read model/merges.txt: ${message}`,
    );
  }
});
