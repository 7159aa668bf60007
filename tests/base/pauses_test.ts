// Long work on the calling thread lets the event loop turn: as often as it has parts, in all that loads
// and saves.

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HostArray } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { atOnce, inTurns, type Steps } from "../../src/base/pauses.ts";
import { convertArray } from "../../src/checkpoints/convert.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { readConfig } from "../../src/checkpoints/config.ts";
import { openArrays, openWeights } from "../../src/checkpoints/weights.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { TRANSFORMERS_WEIGHTS } from "../../src/files/weight_names.ts";
import { Parameters } from "../../src/models/parameters.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { Dice } from "../checkpoints/mutations.ts";
import { encodeTorchFile, type TorchValue } from "../checkpoints/torch/torch_writer.ts";
import { countTurns } from "../turns.ts";

/** Work of several parts. */
function* count(parts: number): Steps<number> {
  for (let i = 0; i < parts; i++) yield;
  if (parts > 5) throw new RangeError("too many");
  return parts;
}

Deno.test("inTurns() pauses between parts that are long, atOnce() does not", async () => {
  assertEquals(atOnce(count(3)), 3);
  assertThrows(() => atOnce(count(6)), RangeError, "too many");
  assertEquals(await countTurns(async () => assertEquals(await inTurns(count(3)), 3)), 3);
  assertEquals(await countTurns(() => Promise.resolve(atOnce(count(3)))), 0);
});

/** Arrays of one float each. */
function floats(number: number): Record<string, TorchValue> {
  const array = { dtype: "F32", shape: [1], bytes: new Uint8Array(4) } as const;
  return Object.fromEntries(
    Array.from({ length: number }, (_, i) => [`layers.${i}.weight`, array]),
  );
}

const SIZE = 2 ** 22;

type Work = readonly [turns: number, work: () => Promise<unknown>];

/** Work by name, and the turns that there have to be at least: one for some milliseconds of it. */
const WORKS: Readonly<Record<string, () => Work | Promise<Work>>> = {
  "headers of many arrays": () => {
    const file = encodeSafetensors(Object.entries(floats(5000)) as never);
    return [10, () => openArrays(memoryFile("x", file))];
  },
  "torch files of many arrays": async () => {
    const file = await encodeTorchFile(floats(3000));
    return [20, () => openArrays(memoryFile("x", file))];
  },
  "packed torch files": async () => {
    // Noise, which is not shorter when it is packed.
    const dice = new Dice(0);
    const bytes = Uint8Array.from({ length: SIZE }, () => dice.below(256));
    const array = { dtype: "U8", shape: [SIZE], bytes } as const;
    const file = await encodeTorchFile({ array }, { deflate: true });
    return [20, async () => await (await openArrays(memoryFile("x", file))).loadStored("array")];
  },
  "tokenizers of many tokens": () => {
    const letters = Array.from({ length: 70 }, (_, i) => String.fromCodePoint(0x100 + i));
    const pairs = letters.flatMap((a) => letters.map((b) => [a, b] as const));
    const special = ["<|startoftext|>", "<|endoftext|>"];
    const tokens = [...special, ...letters, ...pairs.map((pair) => pair.join(""))];
    const files = {
      "vocab.json": JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
      "merges.txt": pairs.map((pair) => pair.join(" ")).join("\n"),
    };
    return [12, () => CLIPTokenizer.fromPretrained(memoryFolder(files))];
  },
  "tokenizers of many added tokens": () => {
    const tokens = Array.from({ length: 20_000 }, (_, i) => [`<token-${i}>`, i + 2]);
    const files = {
      "vocab.json": '{"<|startoftext|>":0,"<|endoftext|>":1}',
      "merges.txt": "",
      "added_tokens.json": JSON.stringify(Object.fromEntries(tokens)),
    };
    // 20 for parsing, adding, dividing by kinds and listing them each, 3 for sorting and 3 for merging.
    return [80, () => CLIPTokenizer.fromPretrained(memoryFolder(files))];
  },
  "tokenizers in one file": () => {
    const added = Array.from(
      { length: 20_000 },
      (_, i) => ({ id: i + 2, content: `<token-${i}>` }),
    );
    const model = {
      type: "BPE",
      end_of_word_suffix: "</w>",
      vocab: { "<|startoftext|>": 0, "<|endoftext|>": 1 },
      merges: [],
    };
    const files = { "tokenizer.json": JSON.stringify({ model, added_tokens: added }) };
    // As above, and 20 each for reading, joining and writing them, and for writing those beyond the vocabulary.
    return [160, () => CLIPTokenizer.fromPretrained(memoryFolder(files))];
  },
  "indices of many arrays": () => {
    const arrays = floats(5000);
    const map = Object.fromEntries(Object.keys(arrays).map((name) => [name, "a.safetensors"]));
    const folder = memoryFolder({
      "model.safetensors.index.json": JSON.stringify({ weight_map: map }),
      "a.safetensors": encodeSafetensors(Object.entries(arrays) as never),
    });
    return [20, () => openWeights(folder, TRANSFORMERS_WEIGHTS)];
  },
  "long configs": () => {
    const folder = memoryFolder({ "config.json": JSON.stringify({ a: Array(2 ** 19).fill(1) }) });
    return [12, () => readConfig(folder, "config.json")];
  },
  ...Object.fromEntries((["fp32", "fp16", "q8"] as const).map((dtype) => [
    `conversions to ${dtype}`,
    (): Work => {
      const data = new Uint16Array(SIZE).fill(0x3f80);
      const array: HostArray = { dtype: "bf16", shape: [SIZE / 1024, 1024], data };
      return [3, () => convertArray(array, dtype, "x")];
    },
  ])),
  "big arrays": async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const array = { dtype: "F16", shape: [SIZE], bytes: new Uint8Array(2 * SIZE) } as const;
    const source = await openArrays(memoryFile("x", encodeSafetensors([["x", array]])));
    const parameters = new Parameters();
    parameters.tensor("x", [SIZE]);
    return [6, async () => {
      await parameters.load(backend, source);
      parameters.dispose();
      await backend.dispose();
    }];
  },
};

for (const [name, prepare] of Object.entries(WORKS)) {
  Deno.test(`the event loop turns while the library works on ${name}`, async () => {
    const [least, work] = await prepare();
    const turns = await countTurns(work);
    assert(turns >= least, `${turns} turns, expected at least ${least}`);
  });
}
