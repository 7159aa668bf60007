// Wrong arguments of loading, and models that are damaged or do not fit: one clear error, nothing leaks.

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { PipelineFromPretrainedOptions } from "../../src/pipeline/load_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { type Files, folderOf, ithqLikeFiles, tinyFiles, withJson } from "./golden_runs.ts";

type ErrorClass = new (message: string) => Error;

Deno.test("VQDiffusionPipeline.fromPretrained() refuses wrong arguments", async () => {
  const folder = folderOf(tinyFiles());
  const wrong: [source: unknown, options: unknown, error: ErrorClass, message: string][] = [
    [42, {}, TypeError, "source is 42, expected a string, a URL or an open folder"],
    [null, {}, TypeError, "source is null, expected"],
    [folder, null, TypeError, "options is null, expected an object"],
    [folder, { backened: 1 }, TypeError, 'unknown option "backened", did you mean backend?'],
    [
      folder,
      { device: "cuda" },
      RangeError,
      'device is "cuda", expected "auto", "wasm" or "webgpu"',
    ],
    [folder, { dtype: "int4" }, RangeError, 'dtype is "int4", expected "fp32", "fp16" or "q8"'],
    [folder, { simd: "avx" }, RangeError, 'simd is "avx", expected "relaxed-simd" or "simd"'],
    [
      folder,
      { device: "wasm", threads: 0 },
      RangeError,
      "threads is 0, expected a whole number of at least 1",
    ],
    [
      folder,
      { device: "wasm", threads: 1.5 },
      RangeError,
      "threads is 1.5, expected a whole number of",
    ],
    [folder, { signal: "now" }, TypeError, 'signal is "now", expected an AbortSignal'],
    [folder, { onProgress: 1 }, TypeError, "onProgress is 1, expected a function"],
    [folder, { backend: {} }, TypeError, "backend is an object, expected a Backend"],
  ];
  for (const [source, options, error, message] of wrong) {
    const load = () => {
      return VQDiffusionPipeline.fromPretrained(
        source as string,
        options as PipelineFromPretrainedOptions,
      );
    };
    await assertRejects(load, error, message);
  }
});

Deno.test("VQDiffusionPipeline.fromPretrained() stops when aborted before and during loading", async () => {
  const loadTiny = (options: PipelineFromPretrainedOptions) => {
    return VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), options);
  };
  await using backend = await createWasmBackend({ threads: 1 });
  const signal = AbortSignal.abort();
  await assertRejects(() => loadTiny({ backend, signal }), DOMException);
  const folder = await Deno.makeTempDir();
  try {
    await using pipe = await loadTiny({ backend });
    await pipe.savePretrained(folder);
    const before = backend.memoryUse();
    const controller = new AbortController();
    let read = 0;
    const load = () =>
      VQDiffusionPipeline.fromPretrained(folder, {
        backend,
        signal: controller.signal,
        onProgress: ({ type }) => {
          if (type === "progress" && ++read === 20) controller.abort();
        },
      });
    await assertRejects(load, DOMException);
    assert(read >= 20);
    assertEquals(backend.memoryUse(), before);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VQDiffusionPipeline.fromPretrained() names files that are missing or damaged", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const files = tinyFiles();
  const load = (files: Files) => VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
  for (const [path, content] of Object.entries(files)) {
    // The tokenizer's configs are optional, and so is any part of the list of merges.
    const { [path]: _, ...rest } = files;
    if (!/tokenizer\/.*_/.test(path)) {
      const error = await assertRejects(() => load(rest), MissingFileError);
      const named = path.endsWith(".safetensors") ? path.slice(0, path.lastIndexOf("/")) : path;
      assert(error.message.includes(`golden/${named}`), error.message);
    }
    const half = content.slice(0, content.length >> 1);
    for (const damaged of [half, new Uint8Array(), new Uint8Array(content.length)]) {
      if (path === "tokenizer/merges.txt" && damaged !== half) continue;
      const error = await load({ ...files, [path]: damaged }).catch((error) => error);
      assertInstanceOf(error, SyntaxError, path);
      assert(error.message.includes(`golden/${path}`), error.message);
    }
  }
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("VQDiffusionPipeline.fromPretrained() refuses components that do not fit", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const [tiny, ithq] = [tinyFiles(), ithqLikeFiles()];
  const load = (files: Files) => VQDiffusionPipeline.fromPretrained(folderOf(files), { backend });
  const exchanged = (component: string): Files => {
    const others = Object.entries(ithq).filter(([path]) => path.startsWith(`${component}/`));
    return { ...tiny, ...Object.fromEntries(others) };
  };
  const scheduler = "scheduler/scheduler_config.json";
  const tokenizer = "tokenizer/tokenizer_config.json";
  const learned = "learned_classifier_free_sampling_embeddings";
  const wrong: [files: Files, error: ErrorClass, message: string][] = [
    [exchanged("vqvae"), RangeError, "num_vector_embeds is 65, but the VQ model's"],
    [exchanged("text_encoder"), RangeError, "cross_attention_dim is 32, but the text encoder's"],
    [exchanged("tokenizer"), RangeError, "ids up to 49407, the text encoder knows 1014 tokens"],
    [exchanged("transformer"), RangeError, "num_vector_embeds is 129, but the scheduler's"],
    [exchanged("scheduler"), RangeError, "but the scheduler's num_vec_classes is 129"],
    [exchanged(learned), RangeError, "learned embeddings' hidden_size is 24, but"],
    [withJson(tiny, scheduler, { num_train_timesteps: 200 }), RangeError, "has 200 timesteps"],
    [withJson(tiny, scheduler, { num_vec_classes: "65" }), TypeError, "num_vec_classes"],
    [withJson(tiny, tokenizer, { model_max_length: 50 }), RangeError, "model_max_length is 50"],
    [
      withJson(tiny, "transformer/config.json", { num_layers: 4 }),
      TypeError,
      "missing transformer_blocks",
    ],
    [withJson(tiny, "transformer/config.json", { num_layers: 0 }), RangeError, "num_layers"],
    [withJson(tiny, "vqvae/config.json", { out_channels: 1 }), TypeError, "expected (1, 32, 3, 3)"],
    [withJson(tiny, "text_encoder/config.json", { hidden_size: 33 }), RangeError, "hidden_size"],
    [
      withJson(tiny, "model_index.json", { _class_name: "A" }),
      TypeError,
      "_class_name is A, expected",
    ],
    [withJson(tiny, "model_index.json", { vqvae: ["b", "C"] }), TypeError, "expected a VQModel"],
    [withJson(tiny, "model_index.json", { vqvae: undefined }), TypeError, "names no vqvae"],
  ];
  for (const [files, error, message] of wrong) {
    await assertRejects(() => load(files), error, message);
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
  }
});
