// What VQDiffusionPipeline promises beside the tokens of diffusers, on the tiny model.

import { assert, assertEquals, assertInstanceOf, assertNotEquals } from "@std/assert";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import type { LoadEvent } from "../../src/files/progress.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { GenerateProgress } from "../../src/pipeline/generate_options.ts";
import type { PipelineFromPretrainedOptions } from "../../src/pipeline/load_options.ts";
import { fillMasks } from "../../src/pipeline/outputs.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { serveFiles } from "../files/file_server.ts";
import { folderOf, goldenRuns, ids, tinyFiles } from "./golden_runs.ts";

const PIXELS = 64;
const CLASSES = 65;

async function loadTiny(options: PipelineFromPretrainedOptions = {}) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads: 2,
    ...options,
  });
}

Deno.test("VQDiffusionPipeline.generate() calls back at every callbackSteps-th step, from the first", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 7, seed: 1, outputType: "tokens" } as const;
  const calls: [step: number, timestep: number, latents: Int32Array][] = [];
  const callback = (...call: [number, number, Int32Array]) => void calls.push(call);
  await pipe.generate("a cat", { ...options, callback });
  assertEquals(calls.map(([step]) => step), [0, 1, 2, 3, 4, 5, 6]);
  assertEquals(calls.map(([, timestep]) => timestep), [6, 5, 4, 3, 2, 1, 0]);
  const all = calls.splice(0);

  const { images } = await pipe.generate("a cat", { ...options, callback, callbackSteps: 3 });
  assertEquals(calls, [all[0]!, all[3]!, all[6]!]);
  assertEquals(images[0]!, all[6]![2]);
  calls.length = 0;
  await pipe.generate("a cat", { ...options, callback, callbackSteps: 100 });
  assertEquals(calls, [all[0]!]);
});

Deno.test("VQDiffusionPipeline.generate() waits for its callback, whose changes to the latents have no effect", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 4, seed: 1, outputType: "tokens" } as const;
  const expected = await pipe.generate("a cat", options);
  let running = 0;
  const actual = await pipe.generate("a cat", {
    ...options,
    callback: async (_step, _timestep, latents) => {
      assertEquals(++running, 1);
      latents.fill(0);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
    },
  });
  assertEquals(actual, expected);
});

Deno.test("VQDiffusionPipeline.generate() gives images, arrays, tokens or a tuple", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 3, seed: 2 };
  const { images: [image] } = await pipe.generate("a cat", options);
  assertInstanceOf(image, RasterImage);
  assertEquals([image.width, image.height], [32, 32]);

  const { images: [array] } = await pipe.generate("a cat", { ...options, outputType: "array" });
  assertInstanceOf(array, Float32Array);
  assertEquals(array.length, 32 * 32 * 3);
  assert(array.every((value) => value >= 0 && value <= 1));
  assertEquals(RasterImage.fromFloat32(array, 32, 32), image);

  const { images: [tokens] } = await pipe.generate("a cat", { ...options, outputType: "tokens" });
  assertInstanceOf(tokens, Int32Array);
  assertEquals(tokens.length, PIXELS);
  assert(tokens.every((token) => token >= 0 && token < CLASSES - 1));

  const tuple = await pipe.generate("a cat", { ...options, returnDict: false });
  assertEquals(tuple, [[image]]);
});

Deno.test("VQDiffusionPipeline.generate() puts the images of a prompt one after the other", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 3, outputType: "tokens" } as const;
  const prompts = ["a cat", "a horse"];
  // The noise of an image is a part of the batch's: (batch, classes, pixels) at each step.
  const slices = (first: number, count: number, of: number) => {
    const generator = new TorchGenerator(5);
    let noise = new Float32Array(0), step = 0;
    return {
      fill(out: Float32Array) {
        const classes = ++step < 3 ? CLASSES : CLASSES - 1;
        noise = new Float32Array(of * classes * PIXELS);
        generator.fill(noise);
        out.set(noise.subarray(first * classes * PIXELS, (first + count) * classes * PIXELS));
      },
    };
  };
  const generator = new TorchGenerator(5);
  const together = await pipe.generate(prompts, { ...options, numImagesPerPrompt: 2, generator });
  assertEquals(together.images.length, 4);
  for (const [i, prompt] of ["a cat", "a cat", "a horse", "a horse"].entries()) {
    const alone = await pipe.generate(prompt, { ...options, generator: slices(i, 1, 4) });
    assertEquals(together.images[i], alone.images[0]);
  }
});

Deno.test("VQDiffusionPipeline.generate() takes a seed for a new TorchGenerator, and goes on with one given", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 3, outputType: "tokens" } as const;
  const generator = new TorchGenerator(7);
  const first = await pipe.generate("a cat", { ...options, generator });
  const second = await pipe.generate("a cat", { ...options, generator });
  assertEquals(first, await pipe.generate("a cat", { ...options, seed: 7 }));
  assertEquals(first, await pipe.generate("a cat", { ...options, seed: 7n + 2n ** 32n }));
  assertNotEquals(first, second);

  // torch.rand of the last step has one class less, that of masks.
  const skipped = new TorchGenerator(7);
  skipped.fill(new Float32Array((2 * CLASSES + CLASSES - 1) * PIXELS));
  assertEquals(second, await pipe.generate("a cat", { ...options, generator: skipped }));
  assertEquals(skipped.getState(), generator.getState());
});

Deno.test("VQDiffusionPipeline.generate() draws another seed each time if none is given", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 5, outputType: "tokens" } as const;
  const first = await pipe.generate("a cat", options);
  assertNotEquals(first, await pipe.generate("a cat", options));
});

Deno.test("VQDiffusionPipeline.stream() tells of every step, and previews what generate() gives", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 6, numImagesPerPrompt: 2, seed: 3 };
  const stepTokens: Int32Array[] = [];
  const callback = (_step: number, _timestep: number, latents: Int32Array) => {
    stepTokens.push(latents);
  };
  const { images } = await pipe.generate("a horse", { ...options, callback });
  const previews: RasterImage[][] = [];
  let step = 0;
  for await (const event of pipe.stream("a horse", options)) {
    assertEquals([event.step, event.steps, event.timestep], [step + 1, 6, 5 - step]);
    assertEquals(event.tokens, stepTokens[step]!);
    previews.push(await event.preview());
    step++;
  }
  assertEquals(step, 6);
  assertEquals(previews[5], images);
  assertEquals(previews.map((images) => images.length), [2, 2, 2, 2, 2, 2]);
  assertNotEquals(previews[0], images);
});

Deno.test("VQDiffusionPipeline.stream() previews each step also when asked later", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 4, seed: 3 };
  const late: RasterImage[] = [];
  const early: RasterImage[] = [];
  const events = await Array.fromAsync(pipe.stream("a horse", options));
  for (const event of events) late.push(...await event.preview());
  for await (const event of pipe.stream("a horse", options)) early.push(...await event.preview());
  assertEquals(late, early);
});

Deno.test("VQDiffusionPipeline.stream() does nothing until it is asked, and may be left early", async () => {
  await using pipe = await loadTiny();
  const before = pipe.backend.memoryUse();
  let drawn = 0;
  const generator = { fill: (out: Float32Array) => void (drawn += out.length) };
  pipe.stream("a cat", { generator });
  assertEquals(drawn, 0);
  for await (const { step } of pipe.stream("a cat", { generator })) if (step === 3) break;
  assertEquals(pipe.backend.memoryUse(), before);
});

Deno.test("fillMasks() puts the most frequent other token of the image in place of masks", () => {
  const tokens = Int32Array.of(9, 2, 2, 1, 9, 9, 9, 9);
  assertEquals(fillMasks(tokens, 4, 9), Int32Array.of(2, 2, 2, 1, 0, 0, 0, 0));
  assertEquals(tokens[0], 9);
});

for (const threads of [1, 2]) {
  Deno.test(`VQDiffusionPipeline.generate() several times at once gives the same as alone, threads: ${threads}`, async () => {
    await using pipe = await loadTiny({ threads });
    const prompts = ["a cat", "a horse", "a red car"];
    const options = (i: number) => ({ numInferenceSteps: 4 + i, seed: i });
    const alone = [];
    for (const [i, prompt] of prompts.entries()) {
      alone.push(await pipe.generate(prompt, options(i)));
    }
    const together = await Promise.all(
      prompts.map((prompt, i) => pipe.generate(prompt, options(i))),
    );
    assertEquals(together, alone);
  });
}

Deno.test("VQDiffusionPipeline.generate() gives the same tokens on 1 and 2 threads, relaxed and plain SIMD", async () => {
  const variants = [1, 2].flatMap((threads) => {
    return (["relaxed-simd", "simd"] as const).map((simd) => ({ threads, simd }));
  });
  const results = [];
  for (const variant of variants) {
    await using pipe = await loadTiny(variant);
    assertEquals(pipe.device.threads, variant.threads);
    results.push(
      await pipe.generate(["a cat", "a red car on the street"], {
        numInferenceSteps: 20,
        seed: 11,
        outputType: "tokens",
      }),
    );
  }
  for (const result of results) assertEquals(result, results[0]!);
});

Deno.test("VQDiffusionPipeline.generate() leaves memory as it was, also after 20 calls", async () => {
  await using backend: WasmBackend = await createWasmBackend({ threads: 2 });
  await using pipe = await loadTiny({ backend });
  const options = { numInferenceSteps: 3, numImagesPerPrompt: 2 };
  await pipe.generate("a cat", options);
  const before = backend.memoryUse();
  const held = backend.memoryHeld();
  for (let i = 0; i < 20; i++) await pipe.generate("a cat", options);
  assertEquals(backend.memoryUse(), before);
  assertEquals(backend.memoryHeld(), held);
});

Deno.test("VQDiffusionPipeline.generate() tells its progress, and draws a bar if it is to", async () => {
  await using pipe = await loadTiny();
  const events: GenerateProgress[] = [];
  const onProgress = (progress: GenerateProgress) => void events.push(progress);
  const options = { numInferenceSteps: 3, seed: 0 };
  assertEquals(await drawn(() => pipe.generate("a cat", { ...options, onProgress })), "");
  assertEquals(events, [{ step: 1, steps: 3 }, { step: 2, steps: 3 }, { step: 3, steps: 3 }]);
  const bar = await drawn(() => pipe.generate("a cat", { ...options, progressBar: true }));
  assert(bar.includes("3/3"), bar);
  pipe.setProgressBar(true);
  assert((await drawn(() => pipe.generate("a cat", options))).includes("3/3"));
  assertEquals(await drawn(() => pipe.generate("a cat", { ...options, progressBar: false })), "");
});

Deno.test("VQDiffusionPipeline.savePretrained() writes what fromPretrained() loads as the same, and tells of it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using pipe = await loadTiny();
    await pipe.savePretrained(folder);
    const events: LoadEvent[] = [];
    const onProgress = (event: LoadEvent) => void events.push(event);
    const copy = await VQDiffusionPipeline.fromPretrained(folder, { device: "wasm", onProgress });
    const options = { numInferenceSteps: 3, seed: 0 };
    assertEquals(await copy.generate("a cat", options), await pipe.generate("a cat", options));
    assertEquals(copy.components.scheduler.config, pipe.components.scheduler.config);

    assertEquals(events.at(-1), { type: "ready" });
    const total = events.findLast((event) => event.type === "total")!;
    assertEquals(total.loaded, total.total);
    // Files of weights stay open, to be saved again.
    await copy.dispose();
    const done = events.flatMap((event) => event.type === "done" ? [event.file] : []);
    const begun = events.flatMap((event) => event.type === "initiate" ? [event.file] : []);
    assertEquals(done.toSorted(), begun.toSorted());
    assert(done.includes("transformer/diffusion_pytorch_model.safetensors"), `${done}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VQDiffusionPipeline.savePretrained() reads weights again, whatever became of the signal that loading had", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using server = serveFiles(tinyFiles());
    const controller = new AbortController();
    await using pipe = await VQDiffusionPipeline.fromPretrained(server.url, {
      device: "wasm",
      signal: controller.signal,
    });
    controller.abort();
    await pipe.savePretrained(folder);
    await using copy = await VQDiffusionPipeline.fromPretrained(folder, { device: "wasm" });
    const options = { numInferenceSteps: 2, seed: 0 };
    assertEquals(await copy.generate("a cat", options), await pipe.generate("a cat", options));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VQDiffusionPipeline.savePretrained() writes nothing when it is aborted", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using pipe = await loadTiny();
    const error = await pipe.savePretrained(folder, { signal: AbortSignal.abort() })
      .catch((error) => error);
    assertInstanceOf(error, DOMException);
    assertEquals([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("VQDiffusionPipeline.components denoise and decode alone as they do together", async () => {
  await using pipe = await loadTiny();
  const run = goldenRuns("pipeline/tiny").find(({ name }) => name === "b")!;
  const { tokenizer, textEncoder, transformer, scheduler, vqvae } = pipe.components;
  const { backend } = pipe;
  const { inputIds } = tokenizer.call(run.prompt, { padding: "maxLength", truncation: true });
  using tokens = backend.tensor(Int32Array.from(inputIds.flat()), [1, tokenizer.modelMaxLength]);
  using hidden = textEncoder.forward(tokens);
  using frame = backend.frame();
  const encoderHiddenStates = frame.normalizeRows(hidden);
  await frame.run();

  const generator = new TorchGenerator(run.generator_seed);
  let sample = backend.tensor(new Int32Array(PIXELS).fill(scheduler.maskClass), [1, PIXELS]);
  scheduler.setTimesteps(run.num_inference_steps);
  for (const t of scheduler.timesteps) {
    using logProbs = transformer.forward({ sample, encoderHiddenStates, timestep: t });
    const { prevSample } = scheduler.step(logProbs, t, sample, { generator });
    sample.dispose();
    sample = prevSample;
  }
  assertEquals(await sample.data(), ids(run, "tokens").slice(-PIXELS));
  using image = vqvae.decodeIndices(sample);
  assertEquals(image.shape, [1, 3, 32, 32]);
  sample.dispose();
});

/** What is written to the standard error output meanwhile. */
async function drawn(work: () => Promise<unknown>): Promise<string> {
  const { stderr } = (globalThis as unknown as {
    process: { stderr: { write(text: string): boolean } };
  }).process;
  const write = stderr.write;
  let text = "";
  stderr.write = (part) => {
    text += part;
    return true;
  };
  try {
    await work();
  } finally {
    stderr.write = write;
  }
  return text;
}
