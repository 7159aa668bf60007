/**
 * The longest time for which the event loop does not turn, in what takes long: an abort acts only then.
 *
 * @module
 */

import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { StoredArray } from "../../src/checkpoints/arrays.ts";
import { saveWeights } from "../../src/checkpoints/save_weights.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { openFile } from "../../src/checkpoints/folders.ts";
import { openArrays } from "../../src/checkpoints/weights.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { writeFolder } from "../../src/files/folder_writer.ts";
import { Parameters } from "../../src/models/parameters.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { CLIPTokenizer } from "../../src/tokenizers/clip_tokenizer.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import type { TrialResult } from "./main.ts";

/** Milliseconds within which an abort has to act. */
const LONGEST = 50;

/** Attempts, of which the best counts: other programs and the compiler of the engine cost time too. */
const ATTEMPTS = 4;

/** Layers of a model that is as wide as ithq's: an embedding, and a linear layer. */
const SHAPES = { embedding: [49408, 512], linear: [11264, 1408] } as const;

/** Milliseconds of the processor that this thread has used. */
function used(): number {
  const { process } = globalThis as unknown as {
    process: { threadCpuUsage(): { readonly user: number; readonly system: number } };
  };
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** The longest turn of the event loop during some work, without the time that others had the processor. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let [longest, isOver] = [0, false];
  let [wall, own] = [performance.now(), used()];
  const tick = () => {
    longest = Math.max(longest, Math.min(performance.now() - wall, used() - own));
    [wall, own] = [performance.now(), used()];
    if (!isOver) setTimeout(tick, 0);
  };
  setTimeout(tick, 0);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await work();
  await new Promise((resolve) => setTimeout(resolve, 0));
  isOver = true;
  return longest;
}

function floats(shape: readonly number[], dtype: "F32" | "F16"): StoredArray {
  const count = shape.reduce((product, length) => product * length, 1);
  const data = dtype === "F32"
    ? Float32Array.from({ length: count }, (_, i) => Math.sin(i))
    : Uint16Array.from({ length: count }, (_, i) => 0x3000 + i % 0x1000);
  return { dtype, shape, bytes: new Uint8Array(data.buffer) };
}

async function generate(threads: number, images: number): Promise<void> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, {
    ...{ device: "wasm", threads },
  });
  const options = { seed: 1, numInferenceSteps: 3, numImagesPerPrompt: images };
  await pipe.generate("a red apple", options);
}

type Work = () => Promise<unknown>;

/** Loads arrays of a model that is as wide as ithq's. */
function loading(stored: "F32" | "F16", dtype: "fp32" | "q8") {
  return async (folder: string): Promise<Work> => {
    const path = `${folder}/${stored}`;
    await Deno.writeFile(
      path,
      encodeSafetensors([
        ["embedding", floats(SHAPES.embedding, stored)],
        ["linear.weight", floats(SHAPES.linear, stored)],
      ]),
    );
    const backend = await createWasmBackend({ threads: 1 });
    return async () => {
      using parameters = new Parameters();
      parameters.tensor("embedding", SHAPES.embedding);
      parameters.linear(["linear"], SHAPES.linear[1], SHAPES.linear[0], { bias: false });
      await using source = await openArrays(await openFile(path));
      await parameters.load(backend, source, { dtype });
    };
  };
}

/** Work by name; what is prepared for it in a folder does not count. */
const WORKS: Readonly<Record<string, (folder: string) => Work | Promise<Work>>> = {
  "loading float32": loading("F32", "fp32"),
  "loading float32 as int8": loading("F32", "q8"),
  "loading float16": loading("F16", "fp32"),
  "loading float16 as int8": loading("F16", "q8"),
  "saving as int8": async (path) => {
    const file = encodeSafetensors([["linear.weight", floats(SHAPES.linear, "F32")]]);
    await Deno.writeFile(`${path}/to-save`, file);
    return async () => {
      await using folder = await writeFolder(`${path}/saved`);
      await using source = await openArrays(await openFile(`${path}/to-save`));
      await saveWeights(source, folder, "x", { dtype: "q8", quantize: () => true });
    };
  },
  "torch files": async (path) => {
    const one = floats([1], "F32");
    const names = Array.from({ length: 5000 }, (_, i) => [`layers.${i}.weight`, one] as const);
    const many = await encodeTorchFile(Object.fromEntries(names));
    const big = await encodeTorchFile({ a: floats([2048, 4096], "F32") }, { deflate: true });
    await Promise.all([many, big].map((file, i) => Deno.writeFile(`${path}/torch${i}`, file)));
    return async () => {
      for (const i of [0, 1]) {
        await using source = await openArrays(await openFile(`${path}/torch${i}`));
        for (const name of source.names()) await source.load(name);
      }
    };
  },
  "CLIP's tokenizer": () => () =>
    CLIPTokenizer.fromPretrained(new URL("../fixtures/tokenizer", import.meta.url)),
  "tokenizers of 500 000 added tokens": () => {
    const added = Array.from({ length: 500_000 }, (_, i) => [`<token-${i}>`, i + 2]);
    const folder = memoryFolder({
      "vocab.json": '{"<|startoftext|>":0,"<|endoftext|>":1}',
      "merges.txt": "",
      "added_tokens.json": JSON.stringify(Object.fromEntries(added)),
    });
    return () => CLIPTokenizer.fromPretrained(folder);
  },
  "headers of 100 000 arrays": () => {
    const one = floats([1], "F32");
    const names = Array.from({ length: 100_000 }, (_, i) => [`layers.${i}.weight`, one] as const);
    const file = encodeSafetensors(names);
    return () => openArrays(memoryFile("many.safetensors", file));
  },
  "pictures on one thread": () => () => generate(1, 8),
  "pictures on two threads": () => () => generate(2, 8),
};

/** The longest turns of all that takes long. */
export async function longTurns(): Promise<TrialResult[]> {
  await using folder = await temporaryFolder();
  const results: TrialResult[] = [];
  for (const [name, prepare] of Object.entries(WORKS)) {
    const work = await prepare(folder.path);
    const turns: number[] = [];
    for (let i = 0; i < ATTEMPTS; i++) turns.push(await longestTurn(work));
    const best = Math.min(...turns);
    const found = `${best.toFixed(0)} ms`;
    const trial = `longest turn, ${name}`;
    results.push({ trial, count: ATTEMPTS, found, passed: best <= LONGEST });
  }
  return results;
}
