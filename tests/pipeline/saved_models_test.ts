// A saved pipeline draws what the pipeline drew that it was saved of.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { memoryWriter } from "../../examples/training_page/memory_writer.js";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { StoredArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import type { RandomGenerator } from "../../src/random/random_generator.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { type Files, filesOf, folderOf, tinyFiles } from "./golden_runs.ts";

const DRAW = { seed: 5, numInferenceSteps: 5, outputType: "tokens" } as const;
const TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors";

/** What a pipeline draws, and what it draws once it was saved and loaded again without any options. */
async function drawAndSave(source: Files | undefined, dtype?: "fp32" | "fp16" | "q8") {
  await using backend = await createWasmBackend({ threads: 2 });
  const draw = async (pipe: VQDiffusionPipeline) =>
    (await pipe.generate("a red apple", DRAW)).images;
  const folder = source && folderOf(source);
  await using pipe = await VQDiffusionPipeline.fromPretrained(folder, { backend, dtype });
  let again: Int32Array[] = [];
  await inTemporaryFolder(async (path) => {
    await pipe.savePretrained(path);
    await using saved = await VQDiffusionPipeline.fromPretrained(path, { backend });
    again = await draw(saved);
  });
  return { first: await draw(pipe), again };
}

Deno.test("VQDiffusionPipeline.savePretrained() saves the embedded model so that it draws the same", async () => {
  const { first, again } = await drawAndSave(undefined);
  assertEquals(again, first);
});

Deno.test("VQDiffusionPipeline.savePretrained() saves weights as they are held", async () => {
  for (const dtype of [undefined, "fp32", "fp16", "q8"] as const) {
    const { first, again } = await drawAndSave(tinyFiles(), dtype);
    assertEquals(again, first, dtype);
  }
});

Deno.test("VQDiffusionPipeline.savePretrained() writes the same files to a FolderWriter as to a path", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
  const files: Files = {};
  await pipe.savePretrained(memoryWriter(files));
  assert(Object.keys(files).includes(TRANSFORMER));
  await inTemporaryFolder(async (path) => {
    await pipe.savePretrained(path);
    assertEquals(files, filesOf(new URL(`file://${path}/`)));
  });
});

Deno.test("VQDiffusionPipeline.savePretrained() leaves nothing that is read of the model that was there", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 1,
  });
  await inTemporaryFolder(async (path) => {
    await pipe.savePretrained(path);
    const saved = filesOf(new URL(`file://${path}/`));
    const others = [
      "tokenizer/added_tokens.json",
      "tokenizer/tokenizer.json",
      "names.json",
      "transformer/diffusion_pytorch_model.safetensors.index.json",
      "transformer/diffusion_pytorch_model.fp16.safetensors",
      "text_encoder/model.fp16.safetensors",
      "text_encoder/model.safetensors.index.fp16.json",
    ];
    for (const name of others) await Deno.writeTextFile(`${path}/${name}`, "{}");
    await pipe.savePretrained(path);
    assertEquals(filesOf(new URL(`file://${path}/`)), saved);
  });
});

/** The tiny model with one value of an array of its transformer in another type, or changed. */
function withValue(change: (arrays: Record<string, StoredArray>) => void): Files {
  const arrays = Object.fromEntries(parseSafetensors(tinyFiles()[TRANSFORMER]!));
  change(arrays);
  return { ...tinyFiles(), [TRANSFORMER]: encodeSafetensors(Object.entries(arrays)) };
}

Deno.test("VQDiffusionPipeline.fromPretrained() names an array with a value that is no number", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const load = (files: Files) => VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
  const name = "transformer_blocks.0.attn1.to_q.weight";
  for (const value of [NaN, Infinity, -Infinity]) {
    for (const [dtype, bits] of [["F32", undefined], ["F16", 0x7c00], ["BF16", 0x7f80]] as const) {
      const files = withValue((arrays) => {
        const { shape } = arrays[name]!;
        const count = shape.reduce((product, length) => product * length);
        const data = bits === undefined ? new Float32Array(count) : new Uint16Array(count);
        const sign = value < 0 ? 0x8000 : 0;
        data[7] = bits === undefined ? value : bits | sign | Number(Number.isNaN(value));
        arrays[name] = { dtype, shape, bytes: new Uint8Array(data.buffer) };
      });
      await assertRejects(
        () => load(files),
        RangeError,
        `${name} has the value ${value} at index 7`,
      );
    }
  }
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("VQDiffusionPipeline.generate() takes no list for a generator", async () => {
  await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    ...{ device: "wasm", threads: 1 },
  });
  for (const list of [[[]], [[1, 2]], new Float32Array(3), new Uint8Array()]) {
    const generator = list as unknown as RandomGenerator;
    await assertRejects(
      () => pipe.generate("a cat", { generator }),
      TypeError,
      "Cannot generate: generator",
    );
    assertThrows(
      () => pipe.stream("a cat", { generator }),
      TypeError,
      "Cannot generate: generator",
    );
  }
});
