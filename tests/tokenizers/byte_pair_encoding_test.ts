import { assertEquals } from "@std/assert";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { BytePairEncoding } from "../../src/tokenizers/byte_pair_encoding.ts";
import { atOnce } from "../../src/base/pauses.ts";
import { parseMerges } from "../../src/tokenizers/merge_table.ts";
import { MinHeap } from "../../src/tokenizers/min_heap.ts";
import { parseVocabulary } from "../../src/tokenizers/vocabulary.ts";

/** Joins the leftmost pair of the lowest rank until there is none: the definition. */
function naiveTokens(word: string, merges: readonly (readonly [string, string])[]): string[] {
  const tokens = [...word.slice(0, -1), word.slice(-1) + "</w>"];
  while (true) {
    const ranks = tokens.slice(1).map((token, i) =>
      merges.findIndex(([left, right]) => left === tokens[i] && right === token)
    );
    const lowest = Math.min(...ranks.filter((rank) => rank >= 0));
    if (lowest === Infinity) return tokens;
    const place = ranks.indexOf(lowest);
    tokens.splice(place, 2, tokens[place]! + tokens[place + 1]!);
  }
}

Deno.test("BytePairEncoding.encode() joins pairs as the definition says", () => {
  const generator = new TorchGenerator(0);
  const below = (n: number): number => generator.random32() % n;
  for (let round = 0; round < 20; round++) {
    const tokens = ["a", "b", "c", "a</w>", "b</w>", "c</w>"];
    const merges: [string, string][] = [];
    for (let attempt = 0; attempt < 60; attempt++) {
      const [left, right] = [tokens[below(tokens.length)]!, tokens[below(tokens.length)]!];
      if (left.endsWith("</w>") || tokens.includes(left + right)) continue;
      tokens.push(left + right);
      // At either end, so that a token may be made before its parts are.
      if (below(2) === 0) merges.push([left, right]);
      else merges.unshift([left, right]);
    }
    const ids = Object.fromEntries(tokens.map((token, id) => [token, id]));
    const vocabulary = atOnce(parseVocabulary(JSON.stringify(ids), "vocab.json"));
    const lines = merges.map((pair) => pair.join(" ")).join("\n");
    const table = atOnce(parseMerges(lines, vocabulary, "merges.txt"));
    const encoding = new BytePairEncoding(vocabulary, table, 0);
    for (let length = 1; length < 40; length++) {
      const word = Array.from({ length }, () => "abc"[below(3)]).join("");
      const expected = naiveTokens(word, merges).map((token) => ids[token]);
      assertEquals(encoding.encode(word), expected, word);
    }
  }
});

Deno.test("MinHeap.pop() gives the numbers in ascending order", () => {
  const generator = new TorchGenerator(1);
  const heap = new MinHeap();
  const numbers: number[] = [];
  for (let i = 0; i < 200; i++) {
    const number = generator.random32() % 50;
    numbers.push(number);
    heap.push(number);
  }
  numbers.sort((a, b) => a - b);
  for (const number of numbers) assertEquals(heap.pop(), number);
  assertEquals(heap.pop(), undefined);
});
