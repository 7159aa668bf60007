/**
 * Thousands of damaged files: each is either read or refused with a clean error, and none takes more
 * memory than a file of its size may.
 *
 * @module
 */

import { assert } from "@std/assert";
import { atOnce } from "../../src/base/pauses.ts";
import { STORED_DTYPES } from "../../src/base/dtypes.ts";
import type { ArraySource } from "../../src/checkpoints/arrays.ts";
import { type Config, readConfig } from "../../src/checkpoints/config.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { parseOriginalConfig } from "../../src/checkpoints/original/original_config.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { openArrays, openWeights } from "../../src/checkpoints/weights.ts";
import { DIFFUSERS_WEIGHTS } from "../../src/files/weight_names.ts";
import { TorchNames } from "../../src/checkpoints/torch/torch_pickle.ts";
import { unpickle } from "../../src/checkpoints/torch/unpickler.ts";
import { parseCLIPTextConfig } from "../../src/models/clip_text_config.ts";
import { parseTransformer2DConfig } from "../../src/models/transformer_2d_config.ts";
import { parseVQConfig } from "../../src/models/vq_config.ts";
import { parseSchedulerConfig } from "../../src/schedulers/vq_diffusion_config.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { checkClean, NAME } from "./clean_errors.ts";
import { damaged, damagedText, Dice } from "./mutations.ts";
import { encodeLegacyTorchFile, encodeTorchFile } from "./torch/torch_writer.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** Memory that one array may take: the most elements that an expanded tensor may have. */
const MAX_ARRAY_BYTES = 2 ** 20 * 8;

/** Deflate cannot expand more than this. */
const MAX_RATIO = 1032;

/** Opens a file and loads all of it, watching how much it takes. */
async function loadAll(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  let reads = 0;
  const file = memoryFile(NAME, bytes);
  const counted = {
    description: NAME,
    size: file.size,
    read(offset: number, length: number) {
      reads++;
      return file.read(offset, length);
    },
    release: () => file.release(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await using source = await openArrays(counted);
  for (const name of source.names()) await loadOne(source, name, bytes.length);
  assert(reads <= 100 + 10 * source.names().length + bytes.length / 1000);
}

async function loadOne(source: ArraySource, name: string, fileSize: number): Promise<void> {
  const { dtype, shape, bytes } = await source.loadStored(name);
  const count = shape.reduce((product, length) => product * length, 1);
  assert(bytes.length === count * STORED_DTYPES[dtype]);
  assert(bytes.length <= Math.max(MAX_ARRAY_BYTES, fileSize * MAX_RATIO));
}

/** Runs a reader on many damaged copies of a file; some have to be refused. */
async function checkDamaged(
  file: Uint8Array<ArrayBuffer>,
  cases: number,
  read: (bytes: Uint8Array<ArrayBuffer>) => unknown,
  focus?: number,
): Promise<void> {
  await read(file);
  let refused = 0;
  for (let seed = 0; seed < cases; seed++) {
    const bytes = damaged(file, new Dice(seed), focus);
    if (!await checkClean(seed, () => read(bytes))) refused++;
  }
  assert(refused > cases / 10, `only ${refused} of ${cases} damaged files are refused`);
}

function floats(values: number[]) {
  const bytes = new Uint8Array(new Float32Array(values).buffer);
  return { dtype: "F32", shape: [values.length], bytes } as const;
}

Deno.test("damaged safetensors files give clean errors", async () => {
  const file = encodeSafetensors([
    ["a.weight", { dtype: "I8", shape: [2, 3], bytes: new Uint8Array(6) }],
    ["a.weight_scale", floats([1, 2])],
    ["b", floats([1, 2, 3])],
    ["c", { dtype: "F16", shape: [2, 2], bytes: new Uint8Array(8) }],
  ]);
  await checkDamaged(file, 3000, loadAll);
  await checkDamaged(file, 2000, (bytes) => parseSafetensors(bytes, NAME), 300);
});

Deno.test("safetensors files with a damaged header give clean errors", async () => {
  const entry = (begin: number) => ({ dtype: "F32", shape: [2], data_offsets: [begin, begin + 8] });
  const header = JSON.stringify({ __metadata__: { format: "pt" }, a: entry(0), b: entry(8) });
  let refused = 0;
  for (let seed = 0; seed < 3000; seed++) {
    const json = new TextEncoder().encode(damagedText(header, new Dice(seed)));
    const bytes = new Uint8Array(8 + json.length + 16);
    new DataView(bytes.buffer).setUint32(0, json.length, true);
    bytes.set(json, 8);
    if (!await checkClean(seed, () => parseSafetensors(bytes, NAME))) refused++;
  }
  assert(refused > 2000);
});

Deno.test("damaged torch files of the zip format give clean errors", async () => {
  const value = { state_dict: { a: floats([1, 2, 3]), b: [floats([4])] }, step: 3, name: "x" };
  await checkDamaged(await encodeTorchFile(value), 2000, loadAll);
  await checkDamaged(await encodeTorchFile(value, { zip64: true }), 1000, loadAll, 300);
  await checkDamaged(await encodeTorchFile(value, { deflate: true }), 1000, loadAll);
});

Deno.test("damaged torch files of the legacy format give clean errors", async () => {
  const value = { a: floats([1, 2, 3]), b: [floats([4])], step: 3 };
  await checkDamaged(encodeLegacyTorchFile(value), 2000, loadAll);
});

Deno.test("damaged torch files of PyTorch give clean errors", async () => {
  const names = ["module_state_dict.bin", "legacy.bin", "renamed_root_deflated.bin"];
  for (const name of names) {
    const file = await Deno.readFile(new URL(`torch_pickle/${name}`, FIXTURES));
    await checkDamaged(file, 300, loadAll, 2500);
  }
});

Deno.test("pickles of random operations give clean errors", async () => {
  const operations: readonly string[] = [
    ...[
      "(",
      "0",
      "1",
      "2",
      "N",
      "\x88",
      "K\x02",
      "K\x00",
      "M\x01\x01",
      "J\xff\xff\xff\xff",
      "\x8a\x01\x05",
    ],
    ...[
      "]",
      "}",
      ")",
      "t",
      "\x85",
      "\x86",
      "\x87",
      "l",
      "d",
      "e",
      "a",
      "s",
      "u",
      "\x8f",
      "\x90",
      "\x91",
    ],
    ...[
      "q\x00",
      "q\x01",
      "h\x00",
      "h\x01",
      "\x94",
      "X\x01\x00\x00\x00a",
      "U\x07storage",
      "U\x03cpu",
    ],
    ...["R", "b", "Q", "\x81", "ccollections\nOrderedDict\n", "ctorch\nFloatStorage\n"],
    ...[
      "ctorch._utils\n_rebuild_tensor_v2\n",
      "ctorch._utils\n_rebuild_parameter\n",
      "\x93",
      "\x95",
    ],
  ];
  for (let seed = 0; seed < 5000; seed++) {
    const dice = new Dice(seed);
    let text = "\x80\x02";
    for (let i = dice.below(40); i > 0; i--) text += dice.pick(operations);
    const bytes = Uint8Array.from(`${text}.`, (c) => c.charCodeAt(0));
    await checkClean(seed, () => atOnce(unpickle(bytes, 0, NAME, new TorchNames(NAME))));
  }
});

Deno.test("damaged indices of sharded weights give clean errors and read no other file", async () => {
  const shard = encodeSafetensors([["a", floats([1])], ["b", floats([2])]]);
  const name = "diffusion_pytorch_model.safetensors.index.json";
  const index = JSON.stringify({ weight_map: { a: "one.safetensors", b: "one.safetensors" } });
  for (let seed = 0; seed < 1000; seed++) {
    const files = { [name]: damagedText(index, new Dice(seed)), "one.safetensors": shard };
    await checkClean(seed, async () => {
      await using weights = await openWeights(memoryFolder(files, NAME), DIFFUSERS_WEIGHTS);
      for (const name of weights.names()) await weights.load(name);
    });
  }
});

Deno.test("damaged configs give clean errors", async () => {
  const parsers: [path: string, parse: (config: Config) => unknown][] = [
    ["transformer/a_diffusers_test/config.json", parseTransformer2DConfig],
    ["vq_model/b_attn_4level/config.json", parseVQConfig],
    ["clip_text/c_small_signal/config.json", parseCLIPTextConfig],
    ["scheduler/k13/scheduler_config.json", parseSchedulerConfig],
  ];
  for (const [path, parse] of parsers) {
    const text = await Deno.readTextFile(new URL(path, FIXTURES));
    for (let seed = 0; seed < 1000; seed++) {
      const folder = memoryFolder({ "config.json": damagedText(text, new Dice(seed)) }, NAME);
      await checkClean(seed, async () => parse(await readConfig(folder, "config.json")));
    }
  }
});

Deno.test("damaged tokenizer files give clean errors", async () => {
  const files: Record<string, string> = {};
  const names = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];
  for (const name of names) {
    const url = new URL(`pipeline/tiny/model/tokenizer/${name}`, FIXTURES);
    files[name] = await Deno.readTextFile(url);
  }
  for (let seed = 0; seed < 400; seed++) {
    const dice = new Dice(seed);
    const name = names[seed % names.length] ?? "";
    const text = files[name] ?? "";
    const bytes = new TextEncoder().encode(text);
    const hostile = dice.below(2) ? damagedText(text, dice) : damaged(bytes, dice);
    await checkClean(seed, async () => {
      const folder = memoryFolder({ ...files, [name]: hostile }, NAME);
      (await CLIPTokenizer.fromPretrained(folder)).encode("a teddy bear");
    });
  }
});

Deno.test("damaged files of tokenizers of one file give clean errors", async () => {
  const files: Record<string, string> = {};
  const names = ["tokenizer.json", "tokenizer_config.json"];
  for (const name of names) {
    const url = new URL(`python_files/saved_by_today/model/tokenizer/${name}`, FIXTURES);
    files[name] = await Deno.readTextFile(url);
  }
  // Most of the long file are merges; in a file without them damage hits the rest, which is read first.
  const json = JSON.parse(files["tokenizer.json"]!);
  const { vocab, ...model } = json.model;
  const bytes = Object.entries<number>(vocab).filter(([token, id]) =>
    id < 512 || token.length > 12
  );
  const short = { ...model, vocab: Object.fromEntries(bytes), merges: [] };
  for (let seed = 0; seed < 400; seed++) {
    const dice = new Dice(seed);
    const name = names[seed % 3 === 2 ? 1 : 0]!;
    const text = name === "tokenizer.json" && dice.below(2)
      ? JSON.stringify({ ...json, model: short })
      : files[name]!;
    const hostile = dice.below(2)
      ? damagedText(text, dice)
      : damaged(new TextEncoder().encode(text), dice);
    await checkClean(seed, async () => {
      const folder = memoryFolder({ ...files, [name]: hostile }, NAME);
      (await CLIPTokenizer.fromPretrained(folder)).encode("a teddy bear");
    });
  }
});

Deno.test("damaged YAML gives clean errors", async () => {
  const text = `model:
  target: image_synthesis.modeling.models.dalle.DALLE
  params:
    condition_codec_config: {params: {pad_value: &zero 0}}
    diffusion_config:
      params:
        alpha_init_type: 'alpha1'  # a comment
        learnable_cf: true
        transformer_config:
          params: &sizes {n_layer: 2, n_embd: 32, n_head: 8, attn_type: selfcross}
        content_emb_config:
          params: {spatial_size: !!python/tuple [4, 4], other: *sizes, more: [*zero, *zero]}
`;
  let refused = 0;
  for (let seed = 0; seed < 3000; seed++) {
    const dice = new Dice(seed);
    const bytes = damaged(new TextEncoder().encode(text), dice);
    const hostile = dice.below(2) ? damagedText(text, dice) : new TextDecoder().decode(bytes);
    if (!await checkClean(seed, () => parseOriginalConfig(hostile, NAME))) refused++;
  }
  assert(refused > 1000, `only ${refused} are refused`);
});
