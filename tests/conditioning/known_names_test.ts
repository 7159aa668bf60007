import { assert, assertEquals, assertRejects } from "@std/assert";
import { KnownNames, readKnownNames } from "../../src/conditioning/known_names.ts";
import { promptNotes } from "../../src/conditioning/prompt_notes.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";

const VALUES = {
  styles: ["flat"],
  grounds: ["blue", "light blue"],
  names: {
    "Animals": ["cat", "cat face", "octopus", "red panda"],
    "Food & Drink": ["cherries", "red apple", "strawberry"],
  },
};
const NAMES = new KnownNames({ description: "names.json", values: VALUES });

function read(text: string) {
  return readKnownNames(memoryFolder({ "names.json": text }, "model"));
}

Deno.test("KnownNames.matching() finds names by parts of words, and by their category", () => {
  assertEquals(NAMES.matching("cat"), { Animals: ["cat", "cat face"] });
  assertEquals(NAMES.matching("FOOD"), { "Food & Drink": VALUES.names["Food & Drink"] });
  assertEquals(NAMES.matching("food red"), { "Food & Drink": ["red apple"] });
  assertEquals(NAMES.matching("berr"), { "Food & Drink": ["strawberry"] });
  assertEquals(NAMES.matching("plane"), {});
});

Deno.test("KnownNames.understand() finds whole names beside grounds, styles and small words", () => {
  const understood: [prompt: string, names: string[], others: string[]][] = [
    ["a cat", ["cat"], []],
    ["two cats!", ["cat"], []],
    ["the face of a cat", ["cat face"], []],
    ["Cherry, flat style", ["cherries"], []],
    ["a cat in flat style on a light blue background", ["cat"], []],
    ["a fluffy octopus on a blue background", ["octopus"], ["fluffy"]],
    ["a blue cat and a red panda", ["red panda", "cat"], ["blue"]],
    ["a cat, flat", ["cat"], ["flat"]],
    ["a cat on a green background", ["cat"], ["green"]],
    // No word of these is a whole name.
    ["red", [], ["red"]],
    ["a panda's face", [], ["panda", "face"]],
    ["a skyscraper on a blue background", [], ["skyscraper"]],
    ["чай", [], ["чай"]],
    ["flat style", [], []],
    ["", [], []],
    ["!", [], []],
  ];
  for (const [prompt, names, others] of understood) {
    assertEquals(NAMES.understand(prompt), { names, others }, prompt);
  }
});

Deno.test("KnownNames.nearest() proposes names with the nearest words", () => {
  assertEquals(NAMES.nearest("an octupus", 3), ["octopus"]);
  assertEquals(NAMES.nearest("cta and aple", 3), ["cat", "cat face", "red apple"]);
  assertEquals(NAMES.nearest("cta and aple", 1), ["cat"]);
  assertEquals(NAMES.nearest("skyscraper", 3), []);
  // "maple" is as near, but begins otherwise.
  const names = { names: { "": ["maple leaf", "red apple"] } };
  const others = new KnownNames({ description: "names.json", values: names });
  assertEquals(others.nearest("an aple", 2), ["red apple"]);
  assertEquals(others.nearest("a naple", 2), ["maple leaf"]);
});

Deno.test("readKnownNames() reads the list of a folder, and leaves other files of that name alone", async () => {
  assertEquals((await read(JSON.stringify(VALUES)))?.categories, VALUES.names);
  assertEquals((await read(`{"names":{"A":["b"]}}`))?.styles, []);
  assertEquals(await read(`{"people":["b"]}`), undefined);
  assertEquals(await readKnownNames(memoryFolder({})), undefined);
  await assertRejects(() => read("["), SyntaxError, "Cannot read model/names.json");
  const wrong = `Cannot use model/names.json: names is an array, expected an object of lists`;
  await assertRejects(() => read(`{"names":["b"]}`), TypeError, wrong);
  await assertRejects(() => read(`{"names":{"A":[1]}}`), TypeError, "A[0] is 1, expected a string");
});

Deno.test("the embedded model's own names are all known, and near to themselves", async () => {
  const folder = await openFolder(new URL("../../weights/", import.meta.url));
  const names = (await readKnownNames(folder))!;
  assertEquals(names.names.length, 1034);
  for (const name of names.names) {
    const { names: found, others } = names.understand(`a ${name}, noto style on a pink background`);
    // "musical notes" is "musical note", too.
    assertEquals([found.length, others], [1, []], `${name}: ${found}`);
  }
});

Deno.test("promptNotes() tells of prompts that are not known, and of what is cut off", async () => {
  const folder = new URL("../fixtures/pipeline/tiny/model/tokenizer", import.meta.url);
  const tokenizer = await CLIPTokenizer.fromPretrained(folder);
  const tell = (...prompts: string[]) => promptNotes(prompts, { tokenizer, names: NAMES });
  assertEquals(tell("a cat"), []);
  assertEquals(tell(""), []);
  assertEquals(
    tell("a fluffy cat")[0]?.message,
    'the model knows "cat", but not "fluffy", which may spoil it',
  );
  const [note, ...others] = tell("an octupus", "an octupus");
  assertEquals(others, []);
  assertEquals(note, {
    prompt: "an octupus",
    kind: "unknown",
    message: 'the model knows no name in "an octupus"; the nearest names: octopus',
    nearest: ["octopus"],
  });
  // The token that begins a text and 76 others are read, as in diffusers.
  const fits = "!,".repeat(38);
  assertEquals(promptNotes([fits], { tokenizer }), []);
  const [cut] = promptNotes([`${fits}?`], { tokenizer });
  assertEquals(cut?.kind, "cut");
  assert(cut?.message.endsWith(`the model reads 77 tokens of it, without "?"`), cut?.message);
});
