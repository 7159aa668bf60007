// Pipelines in the forms that people have: files of torch.save in float32 and float16, whole and in
// shards, and safetensors; from a folder and from the hub; and what is saved of them.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { type StoredArray, typedArray } from "../../src/checkpoints/arrays.ts";
import { convertArray } from "../../src/checkpoints/convert.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { serveHub } from "../hub/fake_hub.ts";
import { encodeLegacyTorchFile, encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import {
  type Files,
  floats,
  folderOf,
  type GoldenRun,
  goldenRuns,
  ids,
  tinyFiles,
} from "./golden_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

type Arrays = Record<string, StoredArray>;

/** Largest difference of an image in the reference, measured in float32, times ten. */
const IMAGE_TOLERANCE = 5e-5;
/** The steps that tell most of a run; the golden runs are followed step by step elsewhere. */
const RUN_A = golden("a");

function golden(name: string): GoldenRun {
  return goldenRuns("pipeline/tiny").find((run) => run.name === name)!;
}

const isWeights = (path: string) => path.endsWith(".safetensors");

/** The tiny model with its weights in other files, as `change` makes them of a component's arrays. */
async function changedFiles(
  change: (path: string, arrays: Arrays) => Promise<Files> | Files,
): Promise<Files> {
  const files: Files = {};
  for (const [path, bytes] of Object.entries(tinyFiles())) {
    if (!isWeights(path)) files[path] = bytes;
    else Object.assign(files, await change(path, Object.fromEntries(parseSafetensors(bytes))));
  }
  return files;
}

/** As diffusers and transformers of 2022 named files, with the buffer that they saved along. */
function binPath(path: string): string {
  return path.replace(/(^|\/)model\.safetensors$/, "$1pytorch_model.bin")
    .replace(/\.safetensors$/, ".bin");
}

function withBuffer(path: string, arrays: Arrays): Arrays {
  if (!path.startsWith("text_encoder/")) return arrays;
  const positions = BigInt64Array.from({ length: 77 }, (_, i) => BigInt(i));
  const bytes = new Uint8Array(positions.buffer);
  const buffer: StoredArray = { dtype: "I64", shape: [1, 77], bytes };
  return { ...arrays, "text_model.embeddings.position_ids": buffer };
}

async function halved(arrays: Arrays): Promise<Arrays> {
  return Object.fromEntries(
    await Promise.all(
      Object.entries(arrays).map(async ([name, array]) => {
        const data = typedArray(array) as Float32Array;
        const half = await convertArray({ dtype: "f32", shape: array.shape, data }, "fp16", name);
        const bytes = new Uint8Array((half.data as Uint16Array<ArrayBuffer>).buffer);
        return [name, { dtype: "F16", shape: array.shape, bytes }];
      }),
    ),
  );
}

const binFiles = () =>
  changedFiles(async (path, arrays) => ({
    [binPath(path)]: await encodeTorchFile(withBuffer(path, arrays)),
  }));

const legacyBinFiles = () =>
  changedFiles((path, arrays) => ({
    [binPath(path)]: encodeLegacyTorchFile(withBuffer(path, arrays)),
  }));

const halfBinFiles = () =>
  changedFiles(async (path, arrays) => ({
    [binPath(path)]: await encodeTorchFile(withBuffer(path, await halved(arrays))),
  }));

/** Two shards of each component, and the index that says what is where. */
const shardedBinFiles = () =>
  changedFiles(async (path, arrays) => {
    const name = binPath(path);
    const entries = Object.entries(withBuffer(path, arrays));
    const shards = [entries.slice(0, 1), entries.slice(1)].filter((shard) => shard.length > 0);
    const files: Files = {};
    const weightMap: Record<string, string> = {};
    for (const [i, shard] of shards.entries()) {
      const file = name.replace(".bin", `-0000${i + 1}-of-0000${shards.length}.bin`);
      files[file] = await encodeTorchFile(Object.fromEntries(shard));
      for (const [array] of shard) weightMap[array] = file.slice(file.lastIndexOf("/") + 1);
    }
    const index = JSON.stringify({ metadata: {}, weight_map: weightMap });
    return { ...files, [`${name}.index.json`]: new TextEncoder().encode(index) };
  });

/** Fails unless the pipeline gives the tokens and the image of a golden run. */
async function assertRun(pipe: VQDiffusionPipeline, run: GoldenRun): Promise<void> {
  const steps: Int32Array[] = [];
  const { images } = await pipe.generate(run.prompt, {
    numInferenceSteps: run.num_inference_steps,
    guidanceScale: run.guidance_scale,
    generator: new TorchGenerator(run.generator_seed),
    outputType: "array",
    callback: (_step, _timestep, tokens) => void steps.push(tokens),
  });
  assertEquals(steps.flatMap((tokens) => [...tokens]), [...ids(run, "tokens")]);
  const expected = floats(run, "image");
  const largest = images[0]!.reduce(
    (max, value, i) => Math.max(max, Math.abs(value - expected[i]!)),
    0,
  );
  assert(largest <= IMAGE_TOLERANCE, `the image differs by ${largest}`);
}

/** Files of a folder on disk by path. */
function filesIn(folder: string, path = ""): Files {
  const files: Files = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${path}`)) {
    if (isDirectory) Object.assign(files, filesIn(folder, `${path}${name}/`));
    else files[`${path}${name}`] = Deno.readFileSync(`${folder}/${path}${name}`);
  }
  return files;
}

function jsonOf(bytes: Uint8Array | undefined): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The arrays of all components by path and name. */
function arraysOf(files: Files): Arrays {
  return Object.fromEntries(
    Object.entries(files).filter(([path]) => isWeights(path)).flatMap(([path, bytes]) =>
      [...parseSafetensors(bytes)].map(([name, array]) => [`${path} ${name}`, array])
    ),
  );
}

const wasm = (): Promise<Backend> => createWasmBackend({ threads: 2 });

Deno.test("VQDiffusionPipeline gives the tokens of diffusers from .bin files of every form", async () => {
  await using backend = await wasm();
  const before = backend.memoryUse();
  for (const make of [binFiles, legacyBinFiles, shardedBinFiles]) {
    const files = await make();
    assert(!Object.keys(files).some(isWeights));
    await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
    await assertRun(pipe, RUN_A);
  }
  assertEquals(backend.memoryUse(), before);
});

Deno.test("VQDiffusionPipeline gives the tokens of diffusers from .bin files in float16", async () => {
  await using backend = await wasm();
  const folder = folderOf(await halfBinFiles());
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
  await assertRun(pipe, golden("a_fp16_weights"));
  // Widened while loading, they are the same numbers.
  await using wide = await VQDiffusionPipeline.fromPretrained(folder, { backend, dtype: "fp32" });
  await assertRun(wide, golden("a_fp16_weights"));
});

Deno.test("VQDiffusionPipeline.savePretrained() writes what diffusers would, of .bin files too", async () => {
  await using backend = await wasm();
  const expected = tinyFiles();
  for (const files of [expected, await binFiles()]) {
    await inTemporaryFolder(async (path) => {
      await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
      await pipe.savePretrained(path);
      const saved = filesIn(path);
      assertEquals(Object.keys(saved).toSorted(), Object.keys(expected).toSorted());
      assertEquals(arraysOf(saved), arraysOf(expected));
      for (const name of Object.keys(saved).filter((name) => name.endsWith("config.json"))) {
        // diffusers since 0.29 wants to be told what earlier versions took for granted.
        const added = name.startsWith("transformer/") ? { norm_type: "ada_norm" } : {};
        assertEquals(jsonOf(saved[name]), Object.assign({}, jsonOf(expected[name]), added), name);
      }
      for (const name of ["tokenizer/vocab.json", "tokenizer/merges.txt"]) {
        assertEquals(saved[name], expected[name], name);
      }
      assertEquals(jsonOf(saved["model_index.json"]), jsonOf(expected["model_index.json"]));
    });
  }
});

Deno.test("VQDiffusionPipeline.savePretrained() loses nothing in float32 and float16", async () => {
  await using backend = await wasm();
  for (
    const [files, run] of [[tinyFiles(), RUN_A], [
      await halfBinFiles(),
      golden("a_fp16_weights"),
    ]] as const
  ) {
    await inTemporaryFolder(async (path) => {
      {
        await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
        await pipe.savePretrained(`${path}/once`);
      }
      await using pipe = await VQDiffusionPipeline.fromPretrained(`${path}/once`, { backend });
      await assertRun(pipe, run);
      await pipe.savePretrained(`${path}/twice`);
      assertEquals(filesIn(`${path}/twice`), filesIn(`${path}/once`));
    });
  }
});

Deno.test("VQDiffusionPipeline.savePretrained() makes int8 that loads as such", async () => {
  await using backend = await wasm();
  await inTemporaryFolder(async (path) => {
    const options = { seed: 0, numInferenceSteps: 3, outputType: "tokens" } as const;
    const folder = folderOf(await binFiles());
    await using full = await VQDiffusionPipeline.fromPretrained(folder, { backend });
    await using rounded = await VQDiffusionPipeline.fromPretrained(folder, {
      backend,
      dtype: "q8",
    });
    await full.savePretrained(path, { dtype: "q8" });
    await using saved = await VQDiffusionPipeline.fromPretrained(path, { backend, dtype: "q8" });
    assertEquals(await saved.generate("a cat", options), await rounded.generate("a cat", options));
    const { transformer } = saved.components;
    assertEquals(transformer.checkpoint.dtype("transformer_blocks.0.attn1.to_q.weight"), "I8");
    await using asStored = await VQDiffusionPipeline.fromPretrained(path, { backend });
    assertEquals((await asStored.generate("a cat", options)).images.length, 1);
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() loads .bin files from the hub, and from its cache", async () => {
  await using backend = await wasm();
  await inTemporaryFolder(async (cache) => {
    const hub = serveHub({
      "owner/tiny": { revisions: { main: await binFiles(), fp16: await halfBinFiles() } },
    });
    const load = (revision: string) =>
      VQDiffusionPipeline.fromPretrained("owner/tiny", {
        backend,
        endpoint: hub.endpoint,
        cache,
        revision,
        retries: 0,
      });
    {
      await using _ = hub;
      await using pipe = await load("main");
      await assertRun(pipe, RUN_A);
      await using half = await load("fp16");
      await assertRun(half, golden("a_fp16_weights"));
    }
    await using pipe = await load("main");
    await assertRun(pipe, RUN_A);
  });
});

Deno.test("VQDiffusionPipeline.fromPretrained() says what the fp16 revision of ithq lacks", async () => {
  await using backend = await wasm();
  const { "model_index.json": index, ...files } = await halfBinFiles();
  const name = "learned_classifier_free_sampling_embeddings";
  const { [name]: _, ...components } = jsonOf(index) as Record<string, unknown>;
  const content = {
    ...Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith(name))),
    "model_index.json": new TextEncoder().encode(JSON.stringify(components)),
  };
  await using hub = serveHub({ "owner/tiny": { revisions: { fp16: content } } });
  const options = { endpoint: hub.endpoint, revision: "fp16", cache: false } as const;
  await assertRejects(
    () => VQDiffusionPipeline.fromPretrained("owner/tiny", { backend, ...options }),
    TypeError,
    `model_index.json names no ${name}; the revision "fp16" of microsoft/vq-diffusion-ithq lacks ` +
      `them: load "main" with dtype "fp16"`,
  );
  assertEquals(backend.memoryUse().allocations, 0);
});

Deno.test("openFolder() of a pipeline prefers safetensors to .bin", async () => {
  const both = {
    ...tinyFiles(),
    ...(await changedFiles((path) => ({ [binPath(path)]: new Uint8Array(4) }))),
  };
  const folder = await openFolder(folderOf(both));
  await using backend = await wasm();
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend });
  assert(isWeights(pipe.components.vqvae.checkpoint.description));
});
