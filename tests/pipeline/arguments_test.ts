// Wrong arguments and damaged models: one clear error before work starts, and nothing leaks.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { MissingFileError } from "../../src/files/paths.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import type { PipelineFromPretrainedOptions } from "../../src/pipeline/load_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { type Files, folderOf, ithqLikeFiles, tinyFiles, withJson } from "./golden_runs.ts";

type ErrorClass = new (message: string) => Error;

type Wrong = readonly [value: unknown, error: ErrorClass, message: string];

/** Wrong options of generate() and stream(), the class of the error and what its message says. */
const WRONG_OPTIONS: readonly Wrong[] = [
  [null, TypeError, "options is an object, got null"],
  ["fast", TypeError, "options is an object, got string"],
  [[], TypeError, "options is an object, got an array"],
  [{ numInferenceSteps: 0 }, RangeError, "numInferenceSteps to be a whole number from 1 to 100"],
  [{ numInferenceSteps: 101 }, RangeError, "the timesteps of the training, got 101"],
  [{ numInferenceSteps: 2.5 }, RangeError, "got 2.5"],
  [{ numInferenceSteps: NaN }, RangeError, "got NaN"],
  [{ numInferenceSteps: "10" }, TypeError, "numInferenceSteps is a number, got string"],
  [{ numInferenceSteps: null }, TypeError, "numInferenceSteps is a number, got null"],
  [{ guidanceScale: NaN }, RangeError, "guidanceScale to be a finite number, got NaN"],
  [{ guidanceScale: Infinity }, RangeError, "guidanceScale to be a finite number, got Infinity"],
  [{ guidanceScale: "5" }, TypeError, "guidanceScale is a number, got string"],
  [{ truncationRate: -0.1 }, RangeError, "truncationRate to be a number from 0 to 1, got -0.1"],
  [{ truncationRate: 1.5 }, RangeError, "truncationRate to be a number from 0 to 1, got 1.5"],
  [{ truncationRate: NaN }, RangeError, "truncationRate"],
  [{ truncationRate: null }, TypeError, "truncationRate is a number, got null"],
  [{ numImagesPerPrompt: 0 }, RangeError, "numImagesPerPrompt to be a whole number from 1 on"],
  [{ numImagesPerPrompt: 1.5 }, RangeError, "got 1.5"],
  [{ numImagesPerPrompt: [2] }, TypeError, "numImagesPerPrompt is a number, got an array"],
  [{ numImagesPerPrompt: 1e6 }, RangeError, "1000000 images at once need 15.5 GiB"],
  [{ seed: 1.5 }, RangeError, "the seed is 1.5, expected an integer"],
  [{ seed: 2 ** 60 }, RangeError, "as a bigint"],
  [{ seed: 2n ** 64n }, RangeError, "expected -2^63 to 2^64 - 1"],
  [{ seed: "1" }, TypeError, "the seed is string, expected an integer"],
  [{ generator: 1 }, TypeError, "generator has a method fill, got number"],
  [{ generator: null }, TypeError, "generator has a method fill, got null"],
  [{ generator: new TorchGenerator(0), seed: 0 }, TypeError, "seed and generator are both given"],
  [{ latents: new Array(64).fill(0) }, TypeError, "latents is an Int32Array, got an array"],
  [{ latents: new Float32Array(64) }, TypeError, "latents is an Int32Array, got object"],
  [{ latents: new Int32Array(63) }, RangeError, "latents to be 1 · 64 token ids, got 63"],
  [{ latents: new Int32Array(128) }, RangeError, "latents to be 1 · 64 token ids, got 128"],
  [{ latents: new Int32Array(64).fill(65) }, RangeError, "token ids from 0 to 64, got 65"],
  [{ latents: new Int32Array(64).fill(-1) }, RangeError, "token ids from 0 to 64, got -1"],
  [{ onProgress: true }, TypeError, "onProgress is a function, got boolean"],
  [{ progressBar: "yes" }, TypeError, "progressBar is a boolean, got string"],
  [{ signal: {} }, TypeError, "signal is an AbortSignal, got object"],
  [{ signal: null }, TypeError, "signal is an AbortSignal, got null"],
];

/** Wrong options that only generate() has. */
const WRONG_OUTPUT_OPTIONS: readonly Wrong[] = [
  [{ outputType: "pil" }, RangeError, 'outputType to be "image", "array" or "tokens", got pil'],
  [{ outputType: null }, RangeError, "outputType"],
  [{ returnDict: 0 }, TypeError, "returnDict is a boolean, got number"],
  [{ callback: "log" }, TypeError, "callback is a function, got string"],
  [{ callbackSteps: 0 }, RangeError, "callbackSteps to be a whole number from 1 on, got 0"],
  [{ callbackSteps: -1 }, RangeError, "got -1"],
  [{ callbackSteps: 1.5 }, RangeError, "got 1.5"],
  [{ callbackSteps: "1" }, TypeError, "callbackSteps is a number, got string"],
];

/** Wrong prompts. */
const WRONG_PROMPTS: readonly Wrong[] = [
  [undefined, TypeError, "prompt is a string or an array of strings, got undefined"],
  [null, TypeError, "got null"],
  [42, TypeError, "got number"],
  [{}, TypeError, "got object"],
  [["a cat", 1], TypeError, "got an array of other things"],
  [[], RangeError, "prompt to be at least one string, got an empty array"],
];

const SOME_STEPS = { numInferenceSteps: 3, seed: 0, outputType: "tokens" } as const;

async function loadTiny(options: PipelineFromPretrainedOptions = {}) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
    ...options,
  });
}

Deno.test("VQDiffusionPipeline.generate() refuses wrong arguments before it starts", async () => {
  await using pipe = await loadTiny();
  const before = pipe.backend.memoryUse();
  let drawn = 0;
  const generator = { fill: (out: Float32Array) => void (drawn += out.length) };
  const withGenerator = (options: unknown) => {
    const isObject = typeof options === "object" && options !== null && !Array.isArray(options);
    if (!isObject || "seed" in options) return options as GenerateOptions;
    return { generator, ...options };
  };
  for (const [options, error, message] of WRONG_OPTIONS) {
    const wrong = withGenerator(options);
    await assertRejects(() => pipe.generate("a cat", wrong), error, message);
    assertThrows(() => pipe.stream("a cat", wrong), error, message);
  }
  for (const [options, error, message] of WRONG_OUTPUT_OPTIONS) {
    await assertRejects(() => pipe.generate("a cat", withGenerator(options)), error, message);
  }
  for (const [prompt, error, message] of WRONG_PROMPTS) {
    await assertRejects(() => pipe.generate(prompt as string, { generator }), error, message);
  }
  assertEquals(drawn, 0);
  assertEquals(pipe.backend.memoryUse(), before);
  assertEquals((await pipe.generate("a cat", SOME_STEPS)).images.length, 1);
});

Deno.test("VQDiffusionPipeline.generate() stops when aborted, and the pipeline can be used again", async () => {
  for (const threads of [1, 2]) {
    await using pipe = await loadTiny({ threads });
    const before = pipe.backend.memoryUse();
    const expected = await pipe.generate("a cat", SOME_STEPS);

    const reason = new Error("Enough");
    const aborted = AbortSignal.abort(reason);
    const error = await assertRejects(() => pipe.generate("a cat", { signal: aborted }));
    assertEquals(error, reason);
    assertThrows(() => pipe.stream("a cat", { signal: aborted }), Error, "Enough");

    const controller = new AbortController();
    const steps: number[] = [];
    const { signal } = controller;
    const callback = (step: number) => {
      steps.push(step);
      if (step === 2) controller.abort();
    };
    const run = () => pipe.generate("a cat", { signal, callback });
    assertEquals((await assertRejects(run, DOMException)).name, "AbortError");
    assertEquals(steps, [0, 1, 2]);

    assertEquals(await pipe.generate("a cat", SOME_STEPS), expected);
    assertEquals(pipe.backend.memoryUse(), before);
  }
});

Deno.test("VQDiffusionPipeline.stream() stops when aborted between two events", async () => {
  await using pipe = await loadTiny();
  const before = pipe.backend.memoryUse();
  const controller = new AbortController();
  const seen: number[] = [];
  await assertRejects(async () => {
    for await (const event of pipe.stream("a cat", { signal: controller.signal })) {
      seen.push(event.step);
      if (event.step === 2) controller.abort();
    }
  }, DOMException);
  assertEquals(seen, [1, 2]);
  assertEquals(pipe.backend.memoryUse(), before);
});

Deno.test("VQDiffusionPipeline.generate() passes on what callbacks and generators throw", async () => {
  await using pipe = await loadTiny();
  const before = pipe.backend.memoryUse();
  const fail = () => {
    throw new Error("mine");
  };
  const failLater = { calls: 0, fill: () => void (failLater.calls++ === 1 && fail()) };
  const wrong: GenerateOptions[] = [
    { callback: fail },
    { callback: () => Promise.reject(new Error("mine")) },
    { onProgress: fail },
    { generator: { fill: fail } },
    { generator: failLater },
  ];
  for (const options of wrong) {
    await assertRejects(() => pipe.generate("a cat", options), Error, "mine");
    assertEquals(pipe.backend.memoryUse(), before);
  }
  assertEquals((await pipe.generate("a cat", SOME_STEPS)).images.length, 1);
});

Deno.test("VQDiffusionPipeline.dispose() ends a run, and later calls are refused", async () => {
  await using backend = await createWasmBackend({ threads: 2 });
  const pipe = await loadTiny({ backend });
  const run = pipe.generate("a cat", {
    callback: async (step) => {
      if (step === 1) await pipe.dispose();
    },
  });
  await assertRejects(() => run, ReferenceError, "the pipeline: it was disposed of");
  await pipe.dispose();
  await assertRejects(() => pipe.generate("a cat"), ReferenceError, "disposed of");
  assertThrows(() => pipe.stream("a cat"), ReferenceError, "disposed of");
  assertThrows(() => pipe.components, ReferenceError, "disposed of");
  const folder = await Deno.makeTempDir();
  await assertRejects(() => pipe.savePretrained(folder), ReferenceError, "disposed of");
  await Deno.remove(folder);
  assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
});

Deno.test("VQDiffusionPipeline.fromPretrained() refuses wrong arguments", async () => {
  const folder = folderOf(tinyFiles());
  const wrong: [source: unknown, options: unknown, error: ErrorClass, message: string][] = [
    [42, {}, TypeError, "source is a string, a URL or an open folder, got number"],
    [null, {}, TypeError, "got null"],
    [folder, null, TypeError, "options is an object, got null"],
    [folder, { device: "cuda" }, RangeError, 'device is "auto", "wasm" or "webgpu", got "cuda"'],
    [folder, { dtype: "int4" }, RangeError, 'dtype is one of fp32, fp16, q8, got "int4"'],
    [folder, { simd: "avx" }, RangeError, 'simd is one of relaxed-simd, simd, got "avx"'],
    [folder, { device: "wasm", threads: 0 }, RangeError, "threads is a whole number from 1 on"],
    [folder, { device: "wasm", threads: 1.5 }, RangeError, "threads is a whole number from 1 on"],
    [folder, { signal: "now" }, TypeError, "signal is an AbortSignal, got string"],
    [folder, { onProgress: 1 }, TypeError, "onProgress is a function, got number"],
    [folder, { backend: {} }, TypeError, "backend is a Backend, got object"],
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
    [withJson(tiny, "model_index.json", { _class_name: "A" }), TypeError, "it describes a A"],
    [withJson(tiny, "model_index.json", { vqvae: ["b", "C"] }), TypeError, "expected a VQModel"],
    [withJson(tiny, "model_index.json", { vqvae: undefined }), TypeError, "names no vqvae"],
  ];
  for (const [files, error, message] of wrong) {
    await assertRejects(() => load(files), error, message);
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
  }
});
