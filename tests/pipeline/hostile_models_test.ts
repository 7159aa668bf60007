/**
 * Whole models with one damaged file: each is loaded and described, or refused with a clean error, in a
 * time that follows the size of the files.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { reportFile, reportFolder } from "../../src/cli/model_report.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { checkClean, NAME } from "../checkpoints/clean_errors.ts";
import { damaged, damagedText, Dice } from "../checkpoints/mutations.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { withinBounds } from "../within.ts";
import { type Files, tinyFiles, withJson } from "./golden_runs.ts";

/** An error names some of the arrays that do not fit. */
const LONGEST = 6000;

async function load(files: Files, backend: WasmBackend): Promise<void> {
  const folder = memoryFolder(files, NAME);
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
  pipe.components.tokenizer.encode("a teddy bear");
}

/** The model with a file damaged: its structure where it has one. */
function withDamage(files: Files, path: string, dice: Dice): Files {
  const bytes = files[path]!;
  const text = () => damagedText(new TextDecoder().decode(bytes), dice);
  const isText = !/\.(safetensors|bin)$/.test(path);
  const hostile = isText && dice.below(4) > 0
    ? new TextEncoder().encode(text())
    : damaged(bytes, dice, 3000);
  return { ...files, [path]: hostile };
}

/** The tiny model with its weights as files of PyTorch. */
async function torchModel(): Promise<Files> {
  const files: Files = {};
  for (const [path, bytes] of Object.entries(tinyFiles())) {
    if (!path.endsWith(".safetensors")) {
      files[path] = bytes;
      continue;
    }
    const name = path.replace(/(^|\/)model\.safetensors$/, "$1pytorch_model.bin");
    const arrays = Object.fromEntries(parseSafetensors(bytes));
    files[name.replace(".safetensors", ".bin")] = await encodeTorchFile(arrays);
  }
  return files;
}

for (const [kind, model] of [["safetensors", tinyFiles], ["torch files", torchModel]] as const) {
  Deno.test(`models of ${kind} with a damaged file are loaded or give clean errors`, async () => {
    await using backend = await createWasmBackend({ threads: 1 });
    const files = await model();
    const paths = Object.keys(files);
    let refused = 0;
    for (let seed = 0; seed < 350; seed++) {
      const hostile = withDamage(files, paths[seed % paths.length]!, new Dice(seed));
      if (!await checkClean(seed, () => load(hostile, backend), LONGEST)) refused++;
      assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 }, `seed ${seed}`);
    }
    assert(refused > 100, `only ${refused} are refused`);
  });
}

Deno.test("reportFolder() describes damaged models or gives clean errors", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const files = tinyFiles();
  const paths = Object.keys(files);
  for (let seed = 1000; seed < 1400; seed++) {
    const hostile = withDamage(files, paths[seed % paths.length]!, new Dice(seed));
    await checkClean(seed, async () => {
      const report = await reportFolder(memoryFolder(hostile, NAME), backend);
      assert(JSON.stringify(report).length < 20_000);
      // deno-lint-ignore no-control-regex -- they could command the terminal
      assert(!/[\x00-\x1f\x7f-\x9f]/.test(Object.values(report.facts).join()), `seed ${seed}`);
    }, LONGEST);
  }
});

Deno.test("reportFile() lists few of many groups, whatever the names of arrays", async () => {
  const entries = Array.from({ length: 20_000 }, (_, i) => [`m${i}.weight`, i] as const);
  const odd = ["constructor.x", "__proto__.x", "toString", "\x1b[2J.x", ".x", "a".repeat(5000)];
  const names = [...odd, ...entries.map(([name]) => name)];
  const header = JSON.stringify(Object.fromEntries(
    names.map((name, i) => [name, { dtype: "U8", shape: [1], data_offsets: [i, i + 1] }]),
  )).replace("{", `{"__proto__": {"dtype":"U8","shape":[0],"data_offsets":[0,0]},`);
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + names.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 8);
  await using source = await openArrays(memoryFile(NAME, bytes));
  const report = reportFile(source);
  assertEquals(report.facts, { arrays: String(names.length + 1) });
  const { groups } = report;
  const counted = Object.values(groups).reduce((sum, group) => sum + group.parameters, 0);
  assertEquals([Object.keys(groups).length, counted], [51, names.length]);
  assert(Object.keys(groups).every((name) => name.length < 150 && !name.includes("\x1b")));
});

/** Paths and fields of all numbers in the configs. */
function* numbersOf(files: Files): Iterable<[path: string, field: string]> {
  for (const [path, bytes] of Object.entries(files)) {
    if (!path.endsWith("config.json")) continue;
    const json: Record<string, unknown> = JSON.parse(new TextDecoder().decode(bytes));
    for (const [field, value] of Object.entries(json)) {
      if (typeof value === "number") yield [path, field];
    }
  }
}

Deno.test("a number in a config does not decide how long loading takes", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const files = tinyFiles();
  let refused = 0;
  for (const [path, field] of numbersOf(files)) {
    for (const value of [3000, 1e6, 2 ** 31, Number.MAX_SAFE_INTEGER, 1e300]) {
      const hostile = withJson(files, path, { [field]: value });
      const name = `${field} ${value}`;
      await withinBounds(name, async () => {
        if (!await checkClean(value, () => load(hostile, backend), LONGEST)) refused++;
      });
    }
  }
  const never = withJson(files, "scheduler/scheduler_config.json", { alpha_cum_end: 0.9 });
  assert(!await checkClean(0, () => load(never, backend)));
  assert(refused > 80, `only ${refused} are refused`);
  for (
    const [path, field] of [
      ["transformer/config.json", "num_layers"],
      ["text_encoder/config.json", "num_hidden_layers"],
      ["vqvae/config.json", "layers_per_block"],
    ] as const
  ) {
    const hostile = withJson(files, path, { [field]: 1e6 });
    const message = `Cannot use ${NAME}/${path}: ${field} is 1000000, expected at most `;
    const error = await load(hostile, backend).catch((error: Error) => error);
    assert(error instanceof RangeError && error.message.startsWith(message), String(error));
  }
});
