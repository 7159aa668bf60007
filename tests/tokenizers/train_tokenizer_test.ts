import { assert, assertEquals, assertThrows } from "@std/assert";
import { byteCharacters } from "../../src/tokenizers/byte_characters.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { trainTokenizer } from "../../src/tokenizers/train_tokenizer.ts";
import { temporaryFolder } from "../temporary_folder.ts";

const TEXTS = [
  "A red apple on a blue background",
  "a red car, noto style",
  "a blue car's wheel, noto style",
  "banana bandana banana",
  "naïve ☃ ☃ cafés",
  "aaaa aaaaaaa",
];

/** Tokens of single bytes, inside and at the end of a word, and those that begin and end texts. */
const LEAST = 2 * 256 + 2;

/** Merges as defined: all pairs counted anew each time. */
function naiveMerges(words: readonly string[], most: number): string[] {
  const characters = byteCharacters();
  let split = words.map((word) => {
    const bytes = [...new TextEncoder().encode(word)].map((byte) => characters[byte]!);
    return bytes.map((character, i) => i === bytes.length - 1 ? `${character}</w>` : character);
  });
  const merges: string[] = [];
  while (merges.length < most) {
    const counts = new Map<string, number>();
    for (const tokens of split) {
      for (let i = 1; i < tokens.length; i++) {
        const pair = `${tokens[i - 1]} ${tokens[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const order = (pair: string) => pair.split(" ");
    const [best] = [...counts].filter(([, count]) => count > 1).sort(([a, n], [b, m]) => {
      const [[a1, a2], [b1, b2]] = [order(a), order(b)] as [[string, string], [string, string]];
      return m - n || (a1 < b1 ? -1 : a1 > b1 ? 1 : a2 < b2 ? -1 : 1);
    });
    if (best === undefined) break;
    merges.push(best[0]);
    const [left, right] = order(best[0]);
    // No token has a space.
    split = split.map((tokens) => {
      const text = ` ${tokens.join("  ")} `;
      return text.replaceAll(` ${left}  ${right} `, ` ${left}${right} `).trim().split(/ +/);
    });
  }
  return merges;
}

/** The merges of a tokenizer. */
function mergesOf(tokenizer: CLIPTokenizer): string[] {
  return tokenizer.files()["merges.txt"]!.trim().split("\n").slice(1);
}

Deno.test("trainTokenizer() joins the most frequent pairs first", () => {
  const words = TEXTS.flatMap((text) => text.toLowerCase().match(/'s|\p{L}+|[^\s\p{L}]+/gu) ?? []);
  for (const more of [0, 1, 7, 25, 1000]) {
    const tokenizer = trainTokenizer(TEXTS, { vocabSize: LEAST + more });
    const merges = mergesOf(tokenizer);
    assertEquals(merges, naiveMerges(words, more));
    assertEquals(tokenizer.vocabSize, LEAST + merges.length);
  }
});

Deno.test("trainTokenizer() gives a tokenizer that encodes any text, and can be saved", async () => {
  const tokenizer = trainTokenizer(TEXTS, { modelMaxLength: 16 });
  assertEquals(tokenizer.modelMaxLength, 16);
  // Words that occur twice are one token.
  assertEquals(tokenizer.encode("a red banana").length, 5);
  const strange = "Zürich 東京 🦊 'll x9";
  const ids = tokenizer.encode(strange);
  assert(ids.every((id) => id >= 0 && id < tokenizer.vocabSize));
  assertEquals(
    tokenizer.decode(ids, { skipSpecialTokens: true }).replaceAll(" ", ""),
    strange.toLowerCase().replaceAll(" ", ""),
  );
  assertEquals(tokenizer.encode(""), [tokenizer.bosTokenId, tokenizer.eosTokenId]);
  await using folder = await temporaryFolder();
  await tokenizer.savePretrained(folder.path);
  const loaded = await CLIPTokenizer.fromPretrained(folder.path);
  assertEquals(loaded.encode(strange), ids);
  assertEquals(loaded.modelMaxLength, 16);
  assertEquals(loaded.padTokenId, tokenizer.eosTokenId);
});

Deno.test("trainTokenizer() needs no texts, and refuses options that do not fit", () => {
  assertEquals(trainTokenizer([]).vocabSize, LEAST);
  assertThrows(() => trainTokenizer([], { vocabSize: 100 }), RangeError, "vocabSize is 100");
  assertThrows(() => trainTokenizer([], { modelMaxLength: 1 }), RangeError, "modelMaxLength is 1");
});
