// Tokenizers whose files were made to take long: the time of loading follows the size of the files.

import { assertEquals } from "@std/assert";
import { atOnce } from "../../src/base/pauses.ts";
import { type AddedToken, AddedTokens } from "../../src/tokenizers/added_tokens.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { MergeTable } from "../../src/tokenizers/merge_table.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { withinBounds } from "../within.ts";

/** Tokens with flags by dice, ids in the order of their contents. */
function tokensOf(contents: Iterable<string>, dice: Dice): Map<string, AddedToken> {
  const flag = () => dice.below(4) === 0;
  return new Map([...new Set(contents)].map((content, id) => [content, {
    ...{ content, id, normalized: false, special: false },
    ...{ lstrip: flag(), rstrip: flag(), singleWord: flag() },
  }]));
}

const isWord = (text: string) => /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u.test(text);

/** As `AddedTokens.split`, by comparing every token with every place of a text of single units. */
function naiveSplit(tokens: ReadonlyMap<string, AddedToken>, text: string): (string | number)[] {
  const parts: (string | number)[] = [];
  let done = 0;
  for (let at = 0; at < text.length;) {
    const here = [...tokens.values()].filter(({ content }) => text.startsWith(content, at));
    const token = here.toSorted((a, b) => b.content.length - a.content.length)[0];
    const start = at;
    at += token?.content.length ?? 1;
    if (!token || start < done) continue;
    const touches = isWord(text[start - 1] ?? "") || isWord(text[at] ?? "");
    if (token.singleWord && touches) continue;
    const before = text.slice(done, start);
    const kept = token.lstrip ? before.trimEnd() : before;
    if (kept !== "") parts.push(kept);
    parts.push(token.id);
    done = token.rstrip ? text.length - text.slice(at).trimStart().length : at;
  }
  if (done < text.length) parts.push(text.slice(done));
  return parts;
}

Deno.test("AddedTokens.split() finds what comparing all tokens at all places finds", () => {
  for (let seed = 0; seed < 2000; seed++) {
    const dice = new Dice(seed);
    const some = (length: number) =>
      Array.from({ length: 1 + dice.below(length) }, () => dice.pick([..."ab <é"])).join("");
    const tokens = tokensOf(Array.from({ length: dice.below(8) }, () => some(4)), dice);
    const text = some(20);
    assertEquals(
      atOnce(AddedTokens.prepare(tokens)).split(text),
      naiveSplit(tokens, text),
      `seed ${seed}`,
    );
  }
});

Deno.test("AddedTokens.split() takes no half of a character of two units", () => {
  const tokens = tokensOf(["\ud83d", "a\ud83d", "a"], new Dice(0));
  const flags = { lstrip: false, rstrip: false, singleWord: false };
  for (const [content, token] of tokens) tokens.set(content, { ...token, ...flags });
  assertEquals(atOnce(AddedTokens.prepare(tokens)).split("a😀\ud83d"), [2, "😀", 0]);
});

Deno.test("CLIPTokenizer loads many added tokens in a time that follows their number", async () => {
  const base = { "<|startoftext|>": 0, "<|endoftext|>": 1 };
  const added = Array.from({ length: 500_000 }, (_, i) => [`<token-${i}>`, i + 2] as const);
  const files = {
    "vocab.json": JSON.stringify(base),
    "merges.txt": "",
    "added_tokens.json": JSON.stringify(Object.fromEntries(added)),
  };
  await withinBounds("loading 500 000 added tokens", () => {
    const tokenizer = new CLIPTokenizer(files);
    assertEquals(tokenizer.encode("<token-7><token-77>"), [0, 9, 79, 1]);
  });
});

Deno.test("MergeTable finds pairs that were made to collide", async () => {
  // Ids whose products with the multipliers of a fixed hash have equal bits above the fifteenth.
  const pairs: [number, number][] = [];
  for (let left = 0; pairs.length < 200_000; left++) {
    if ((Math.imul(left, 0x9e3779b1) >>> 15 & 0x1ffff) >= 64) continue;
    for (let right = 0; right < 2 ** 20 && pairs.length < 200_000; right++) {
      if ((Math.imul(right, 0x85ebca77) >>> 15 & 0x1ffff) < 64) pairs.push([left, right]);
    }
  }
  const table = new MergeTable(pairs.length);
  await withinBounds("filling a table of merges", () => {
    pairs.forEach(([left, right], rank) => table.set(left, right, rank, rank));
    pairs.forEach(([left, right], rank) => assertEquals(table.rank(left, right), rank));
  });
});
