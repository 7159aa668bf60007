import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { clipFiles, goldenCases, tinyFiles, TOKENIZER } from "./fixtures.ts";

const TOKENIZER_OF_CLIP = await CLIPTokenizer.fromPretrained(TOKENIZER);

Deno.test("CLIPTokenizer.fromPretrained() reads a folder of transformers", () => {
  const tokenizer = TOKENIZER_OF_CLIP;
  assertEquals(tokenizer.vocabSize, 49408);
  assertEquals(tokenizer.modelMaxLength, 77);
  assertEquals(tokenizer.bosTokenId, 49406);
  assertEquals(tokenizer.eosTokenId, 49407);
  assertEquals(tokenizer.padTokenId, 49407);
});

Deno.test("CLIPTokenizer.encode() gives the ids that all implementations agree on", async () => {
  const cases = await goldenCases<{ text: string; ids: number[] }>("cases.json");
  assertEquals(cases.length, 326);
  for (const { text, ids } of cases) assertEquals(TOKENIZER_OF_CLIP.encode(text), ids, text);
});

Deno.test("CLIPTokenizer.encode() follows the fast tokenizer where implementations differ", async () => {
  type Case = { text: string; codepoints: string; variants: { who: string[]; ids: number[] }[] };
  const cases = await goldenCases<Case>("cases_differ.json");
  assertEquals(cases.length, 85);
  for (const { text, codepoints, variants } of cases) {
    const fast = variants.find(({ who }) => who.includes("hf_fast"));
    assertEquals(TOKENIZER_OF_CLIP.encode(text), fast?.ids, codepoints);
  }
});

Deno.test("CLIPTokenizer.call() pads and truncates as the reference does", async () => {
  type Case = Record<"unpadded" | "padded_truncation_true" | "as_pipeline_uses_it", number[]>;
  const cases = await goldenCases<Case & { text: string }>("cases_padded.json");
  for (const golden of cases) {
    const { inputIds: [padded] } = TOKENIZER_OF_CLIP.call(golden.text, { padding: "maxLength" });
    assertEquals(padded?.slice(0, 77), golden.as_pipeline_uses_it);
    const { inputIds: [truncated], attentionMask: [mask] } = TOKENIZER_OF_CLIP.call(golden.text, {
      padding: "maxLength",
      truncation: true,
    });
    assertEquals(truncated, golden.padded_truncation_true);
    assertEquals(mask?.indexOf(0), golden.unpadded.length < 77 ? golden.unpadded.length : -1);
    assertEquals(TOKENIZER_OF_CLIP.call(golden.text).inputIds, [golden.unpadded]);
  }
});

Deno.test("CLIPTokenizer finds the pad token in texts as a token of its own", async () => {
  const config = { pad_token: "!", model_max_length: 77 };
  const tokenizer = new CLIPTokenizer(await clipFiles({ "special_tokens_map.json": config }));
  assertEquals(tokenizer.padTokenId, 0);
  type Case = { text: string; ids: number[]; padded_77: number[]; hf_5_17_ids_same: boolean };
  const cases = await goldenCases<Case>("cases_pad_bang.json");
  // The others need ftfy, which makes "!" of full-width ones and of HTML entities.
  const same = cases.filter((golden) => golden.hf_5_17_ids_same);
  assert(same.length >= cases.length - 2);
  for (const { text, ids, padded_77 } of same) {
    assertEquals(tokenizer.encode(text), ids, text);
    assertEquals(tokenizer.call(text, { padding: "maxLength" }).inputIds, [padded_77], text);
  }
});

// Ids of transformers 5.17.
Deno.test("CLIPTokenizer.call() pads to the longest text and truncates to maxLength", () => {
  const texts = ["a cat", "a photo of a very red dog"];
  const short = [49406, 320, 2368, 49407];
  const long = [49406, 320, 1125, 539, 320, 1070, 736, 1929, 49407];
  assertEquals(TOKENIZER_OF_CLIP.call(texts), {
    inputIds: [short, long],
    attentionMask: [[1, 1, 1, 1], Array(9).fill(1)],
  });
  assertEquals(TOKENIZER_OF_CLIP.call(texts, { padding: "longest" }), {
    inputIds: [[...short, ...Array(5).fill(49407)], long],
    attentionMask: [[1, 1, 1, 1, 0, 0, 0, 0, 0], Array(9).fill(1)],
  });
  assertEquals(TOKENIZER_OF_CLIP.call(texts, { padding: "maxLength", maxLength: 6 }).inputIds, [
    [...short, 49407, 49407],
    long,
  ]);
  assertEquals(TOKENIZER_OF_CLIP.call(texts, { truncation: true, maxLength: 6 }).inputIds, [
    short,
    [49406, 320, 1125, 539, 320, 49407],
  ]);
  assertEquals(TOKENIZER_OF_CLIP.call(texts, { truncation: true, maxLength: 2 }).inputIds, [
    [49406, 49407],
    [49406, 49407],
  ]);
  assertEquals(TOKENIZER_OF_CLIP.call([]), { inputIds: [], attentionMask: [] });
});

Deno.test("CLIPTokenizer.encode() takes very long words and texts", () => {
  // 12500 tokens of 8 letters (the longest run of "a" in the vocabulary), the last with </w>, would
  // take the textbook's loop 10^9 steps.
  assertEquals(TOKENIZER_OF_CLIP.encode("a".repeat(100_000)).length, 12_503);
  assertEquals(TOKENIZER_OF_CLIP.encode("hello world ".repeat(10_000)).length, 20_002);
  assertEquals(TOKENIZER_OF_CLIP.encode(" ".repeat(100_000)), [49406, 49407]);
});

// Texts of transformers 5.17.
Deno.test("CLIPTokenizer.decode() gives the text of ids", () => {
  const ids = [49406, 320, 2368, 49407, 49407];
  assertEquals(
    TOKENIZER_OF_CLIP.decode(ids),
    "<|startoftext|>a cat <|endoftext|><|endoftext|>",
  );
  assertEquals(TOKENIZER_OF_CLIP.decode(ids, { skipSpecialTokens: true }), "a cat");
  assertEquals(TOKENIZER_OF_CLIP.decode([320, 171, 321]), "a \ufffdb");
  assertEquals(TOKENIZER_OF_CLIP.decode([0, 256, 49406]), "!! <|startoftext|>");
  const text = "ein café in 東京 😀 \ufeff";
  const encoded = TOKENIZER_OF_CLIP.encode(text);
  assertEquals(TOKENIZER_OF_CLIP.decode(encoded, { skipSpecialTokens: true }), text);
});

Deno.test("CLIPTokenizer.decode() refuses ids that are not in the vocabulary", () => {
  for (const id of [49408, -1, 0.5, NaN]) {
    assertThrows(() => TOKENIZER_OF_CLIP.decode([id]), RangeError, `${id} is not`);
  }
});

Deno.test("CLIPTokenizer refuses texts and options of the wrong kind", () => {
  for (const text of [undefined, null, 5, ["a"]] as unknown as string[]) {
    assertThrows(() => TOKENIZER_OF_CLIP.encode(text), TypeError, "expected a string");
  }
  for (const texts of [undefined, 5, [5]] as unknown as string[]) {
    assertThrows(() => TOKENIZER_OF_CLIP.call(texts), TypeError, "expected a string");
  }
  for (const maxLength of [1, 2.5, NaN, Infinity]) {
    assertThrows(() => TOKENIZER_OF_CLIP.call("a", { maxLength }), RangeError, `is ${maxLength}`);
  }
  const padding = "max_length" as "maxLength";
  assertThrows(() => TOKENIZER_OF_CLIP.call("a", { padding }), RangeError, "padding is max_length");
});

Deno.test("CLIPTokenizer.files() gives the files unchanged", async () => {
  const files = tinyFiles({ "tokenizer_config.json": '{ "model_max_length" : 8 }\n' });
  assertEquals(new CLIPTokenizer(files).files(), files);
  const loaded = await CLIPTokenizer.fromPretrained(memoryFolder(files));
  assertEquals(loaded.files(), files);
});

Deno.test("CLIPTokenizer.fromPretrained() names the file that is missing", async () => {
  for (const name of ["vocab.json", "merges.txt"]) {
    const { [name]: _, ...files } = tinyFiles();
    await assertRejects(
      () => CLIPTokenizer.fromPretrained(memoryFolder(files, "model")),
      MissingFileError,
      `model/${name}`,
    );
    assertThrows(() => new CLIPTokenizer(files), TypeError, "lacks vocab.json or merges.txt");
  }
});

Deno.test("CLIPTokenizer gives bytes that the vocabulary lacks the id of the unknown token", () => {
  assertEquals(new CLIPTokenizer(tinyFiles()).encode("ab acb"), [5, 4, 0, 6, 3, 6]);
});

Deno.test("CLIPTokenizer.savePretrained() writes what fromPretrained() reads, also in a subfolder", async () => {
  const path = await Deno.makeTempDir();
  try {
    const files = tinyFiles({ "added_tokens.json": "{}" });
    await new CLIPTokenizer(files).savePretrained(`${path}/tokenizer`);
    const names = [...Deno.readDirSync(`${path}/tokenizer`)].map(({ name }) => name);
    assertEquals(names.sort(), Object.keys(files).sort());
    const copy = await CLIPTokenizer.fromPretrained(path, { subfolder: "tokenizer" });
    assertEquals(copy.files(), files);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("CLIPTokenizer.savePretrained() removes what it does not have of another tokenizer", () =>
  inTemporaryFolder(async (path) => {
    const others = ["added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"];
    for (const name of [...others, "tokenizer.json", "notes.txt"]) {
      await Deno.writeTextFile(`${path}/${name}`, "{");
    }
    const tokenizer = new CLIPTokenizer(tinyFiles());
    await tokenizer.savePretrained(path);
    const names = [...Deno.readDirSync(path)].map(({ name }) => name);
    assertEquals(names.sort(), [...Object.keys(tokenizer.files()), "notes.txt"].sort());
    assertEquals((await CLIPTokenizer.fromPretrained(path)).files(), tokenizer.files());
  }));
