// Wrong arguments of drawing and saving: one clear error before work starts, and nothing leaks.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { GenerateOptions } from "../../src/pipeline/generate_options.ts";
import type { PipelineFromPretrainedOptions } from "../../src/pipeline/load_options.ts";
import type { SavePretrainedOptions } from "../../src/pipeline/save_pipeline.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

type ErrorClass = new (message: string) => Error;

type Wrong = readonly [value: unknown, error: ErrorClass, message: string];

/** Embeddings with the right shape for their values. */
const EMBEDS = { data: new Float32Array(64), shape: [1, 2, 32] };

/** A black picture. */
const IMAGE = new RasterImage(new Uint8ClampedArray(4 * 81), 9, 9);

/** Wrong options of generate() and stream(), the class of the error and what its message says. */
const WRONG_OPTIONS: readonly Wrong[] = [
  [null, TypeError, "options is null, expected an object"],
  ["fast", TypeError, 'options is "fast", expected an object'],
  [[], TypeError, "options is an empty array, expected an object"],
  [
    { numInferenceSteps: 0 },
    RangeError,
    "numInferenceSteps is 0, expected a whole number from 1 to 100",
  ],
  [
    { numInferenceSteps: 101 },
    RangeError,
    "is 101, expected a whole number from 1 to 100, the timesteps",
  ],
  [{ numInferenceSteps: 2.5 }, RangeError, "numInferenceSteps is 2.5"],
  [{ numInferenceSteps: NaN }, RangeError, "numInferenceSteps is NaN"],
  [{ numInferenceSteps: "10" }, TypeError, 'numInferenceSteps is "10", expected a whole number'],
  [{ numInferenceSteps: null }, TypeError, "numInferenceSteps is null, expected a whole number"],
  [{ guidanceScale: NaN }, RangeError, "guidanceScale is NaN, expected a finite number"],
  [{ guidanceScale: Infinity }, RangeError, "guidanceScale is Infinity, expected a finite number"],
  [{ guidanceScale: "5" }, TypeError, 'guidanceScale is "5", expected a finite number'],
  [
    { truncationRate: -0.1 },
    RangeError,
    "truncationRate is -0.1, expected a finite number from 0 to 1",
  ],
  [
    { truncationRate: 1.5 },
    RangeError,
    "truncationRate is 1.5, expected a finite number from 0 to 1",
  ],
  [{ truncationRate: NaN }, RangeError, "truncationRate is NaN"],
  [{ truncationRate: null }, TypeError, "truncationRate is null, expected a finite number"],
  [
    { numImagesPerPrompt: 0 },
    RangeError,
    "numImagesPerPrompt is 0, expected a whole number of at least 1",
  ],
  [{ numImagesPerPrompt: 1.5 }, RangeError, "numImagesPerPrompt is 1.5"],
  [
    { numImagesPerPrompt: [2] },
    TypeError,
    "numImagesPerPrompt is an array, expected a whole number",
  ],
  [
    { numImagesPerPrompt: 1e6 },
    RangeError,
    "is 1000000, expected at most 258111: the noise of a step would take 15 GiB",
  ],
  [{ seed: 1.5 }, RangeError, "the seed is 1.5, expected an integer"],
  [{ seed: 2 ** 60 }, RangeError, "as a bigint"],
  [{ seed: 2n ** 64n }, RangeError, "expected -2^63 to 2^64 - 1"],
  [{ seed: "1" }, TypeError, "the seed is string, expected an integer"],
  [{ generator: 1 }, TypeError, "generator is 1, expected an object with a method fill"],
  [{ generator: null }, TypeError, "generator is null, expected an object with a method fill"],
  [{ generator: new TorchGenerator(0), seed: 0 }, TypeError, "seed and generator are both given"],
  [{ latents: new Array(64).fill(0) }, TypeError, "latents is an array, expected an Int32Array"],
  [
    { latents: new Float32Array(64) },
    TypeError,
    "latents is a Float32Array, expected an Int32Array",
  ],
  [{ latents: new Int32Array(63) }, RangeError, "latents.length is 63, expected 1 · 64 token ids"],
  [
    { latents: new Int32Array(128) },
    RangeError,
    "latents.length is 128, expected 1 · 64 token ids",
  ],
  [
    { latents: new Int32Array(64).fill(65) },
    RangeError,
    "latents[0] is 65, expected a token id from 0 to 64",
  ],
  [
    { latents: new Int32Array(64).fill(-1) },
    RangeError,
    "latents[0] is -1, expected a token id from 0 to 64",
  ],
  [{ image: "cat.png" }, TypeError, 'image is "cat.png", expected a RasterImage'],
  [{ image: new ImageData(8, 8) }, TypeError, "image is an ImageData, expected a RasterImage"],
  [{ image: null }, TypeError, "image is null, expected a RasterImage"],
  [{ image: [IMAGE, IMAGE] }, RangeError, "image.length is 2, expected 1, one for each prompt"],
  [{ image: [1] }, TypeError, "image[0] is 1, expected a RasterImage"],
  [
    { image: IMAGE, strength: 1.01 },
    RangeError,
    "strength is 1.01, expected a finite number from 0",
  ],
  [
    { image: IMAGE, strength: -0.1 },
    RangeError,
    "strength is -0.1, expected a finite number from 0",
  ],
  [{ image: IMAGE, strength: "1" }, TypeError, 'strength is "1", expected a finite number from 0'],
  [{ strength: 0.5 }, TypeError, "strength is given without image, expected both"],
  [{ maskImage: IMAGE }, TypeError, "maskImage is given without image, expected both"],
  [{ image: IMAGE, latents: new Int32Array(64) }, TypeError, "latents and image are both given"],
  [{ image: IMAGE, maskImage: "white" }, TypeError, 'maskImage is "white", expected a RasterImage'],
  [
    { image: IMAGE, maskImage: IMAGE.resize(9, 10) },
    RangeError,
    "maskImage is 9 × 10 pixels, expected 9 × 9 as the image",
  ],
  [{ image: IMAGE, maskImage: IMAGE }, RangeError, "maskImage has no white, expected some where"],
  [{ image: [IMAGE], maskImage: IMAGE }, TypeError, "image is an array, expected a single Raster"],
  [
    { sampler: "euler a" },
    RangeError,
    'sampler is "euler a", expected "leading", "strided", "cosine", "fast" or "fast:<speed>"',
  ],
  [{ sampler: 4 }, TypeError, "sampler is 4, expected one of"],
  [
    { sampler: "fast:1" },
    RangeError,
    'sampler is "fast:1", expected a speed from 2 to 100, the timesteps',
  ],
  [
    { sampler: "fast:4", numInferenceSteps: 10 },
    RangeError,
    "their number is 10, expected 26, which follows from the speed 4, or all 100",
  ],
  [{ topK: 0 }, RangeError, "topK is 0, expected a whole number of at least 1"],
  [{ topK: 1.5 }, RangeError, "topK is 1.5, expected a whole number"],
  [{ topK: "5" }, TypeError, 'topK is "5", expected a whole number of at least 1'],
  [{ guidanceInterval: 0.5 }, TypeError, "guidanceInterval is 0.5, expected two numbers from 0"],
  [{ guidanceInterval: ["0", "1"] }, TypeError, "guidanceInterval is an array, expected two"],
  [{ guidanceInterval: [0.5] }, RangeError, 'guidanceInterval is "[0.5]", expected two numbers'],
  [{ guidanceInterval: [0.8, 0.2] }, RangeError, 'is "[0.8, 0.2]", expected two numbers from 0'],
  [{ guidanceInterval: [0, 1.1] }, RangeError, 'guidanceInterval is "[0, 1.1]", expected two'],
  [{ guidanceInterval: [NaN, 1] }, RangeError, 'guidanceInterval is "[NaN, 1]", expected two'],
  [{ negativePrompt: 1 }, TypeError, "negativePrompt is 1, expected a string or an array of str"],
  [{ negativePrompt: null }, TypeError, "negativePrompt is null, expected a string"],
  [{ negativePrompt: ["a", 1] }, TypeError, "negativePrompt is an array, expected a string or an"],
  [{ negativePrompt: [] }, RangeError, "negativePrompt.length is 0, expected 1"],
  [{ negativePrompt: ["a", "b"] }, RangeError, "negativePrompt.length is 2, expected 1"],
  [
    { negativePrompt: "a", negativePromptEmbeds: EMBEDS },
    TypeError,
    "negativePrompt and negativePromptEmbeds are both given, expected one of them",
  ],
  [{ onProgress: true }, TypeError, "onProgress is true, expected a function"],
  [{ progressBar: "yes" }, TypeError, 'progressBar is "yes", expected a boolean'],
  [{ signal: {} }, TypeError, "signal is an object, expected an AbortSignal"],
  [{ signal: null }, TypeError, "signal is null, expected an AbortSignal"],
  [{ steps: 5 }, TypeError, 'unknown option "steps", did you mean numInferenceSteps?'],
  [{ step: 5 }, TypeError, 'unknown option "step", did you mean numInferenceSteps?'],
  [{ guidance: 5 }, TypeError, "did you mean guidanceScale?"],
  [{ num_images_per_prompt: 5 }, TypeError, "did you mean numImagesPerPrompt?"],
  [{ colour: "red" }, TypeError, 'unknown option "colour", expected seed, numInferenceSteps'],
  [{ promptEmbeds: EMBEDS }, TypeError, "prompt and promptEmbeds are both given"],
  [{ promptEmbeds: null }, TypeError, "promptEmbeds is null, expected a tensor of floats"],
  [{ negativePromptEmbeds: "" }, TypeError, 'negativePromptEmbeds is "", expected a tensor'],
  [{ negativePromptEmbeds: { ...EMBEDS, data: [0] } }, TypeError, "negativePromptEmbeds is an obj"],
  [{ negativePromptEmbeds: { data: EMBEDS.data } }, TypeError, "a Float32Array as data"],
  [{ negativePromptEmbeds: { ...EMBEDS, shape: [2, 3] } }, RangeError, "is of shape (2, 3), exp"],
  [
    { negativePromptEmbeds: { ...EMBEDS, shape: [1, 3, 32] } },
    RangeError,
    "is of 64 numbers, expected 96",
  ],
  [
    { negativePromptEmbeds: { ...EMBEDS, shape: [1, 0, 32] } },
    RangeError,
    "is of shape (1, 0, 32), exp",
  ],
];

/** Wrong options that only generate() has. */
const WRONG_OUTPUT_OPTIONS: readonly Wrong[] = [
  [{ outputType: "pil" }, RangeError, 'outputType is "pil", expected "image", "array" or "tokens"'],
  [{ outputType: null }, RangeError, "outputType is null"],
  [{ returnDict: 0 }, TypeError, "returnDict is 0, expected a boolean"],
  [{ callback: "log" }, TypeError, 'callback is "log", expected a function'],
  [{ callbackSteps: 0 }, RangeError, "callbackSteps is 0, expected a whole number of at least 1"],
  [{ callbackSteps: -1 }, RangeError, "callbackSteps is -1"],
  [{ callbackSteps: 1.5 }, RangeError, "callbackSteps is 1.5"],
  [{ callbackSteps: "1" }, TypeError, 'callbackSteps is "1", expected a whole number'],
];

/** Wrong prompts. */
const WRONG_PROMPTS: readonly Wrong[] = [
  [undefined, TypeError, "prompt is undefined, expected a string or an array of strings"],
  [null, TypeError, "prompt is null"],
  [42, TypeError, "prompt is 42"],
  [{}, TypeError, "prompt is an object"],
  [["a cat", 1], TypeError, "prompt[1] is 1, expected a string"],
  [[], RangeError, "prompt is an empty array, expected at least one string"],
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
    assertThrows(() => pipe.stream("a cat", withGenerator(options)), TypeError, "unknown option");
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
  const timesteps: number[] = [];
  await assertRejects(async () => {
    for await (const { timestep } of pipe.stream("a cat", { signal: controller.signal })) {
      timesteps.push(timestep);
      if (timestep === 98) controller.abort();
    }
  }, DOMException);
  assertEquals(timesteps, [99, 98]);
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

Deno.test("VQDiffusionPipeline.savePretrained() refuses unknown options, and writes nothing", async () => {
  await using pipe = await loadTiny();
  await using folder = await temporaryFolder();
  const options = { dtpye: "q8" } as SavePretrainedOptions;
  const save = () => pipe.savePretrained(`${folder.path}/model`, options);
  await assertRejects(save, TypeError, 'unknown option "dtpye", did you mean dtype?');
  assertEquals([...Deno.readDirSync(folder.path)], []);
});
