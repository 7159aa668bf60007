// What models are told that do not draw from text: labels, seeds, pictures, and what is wrong.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { checkClassLabels } from "../../src/conditioning/class_label.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import type { GenerateInput } from "../../src/conditioning/condition.ts";
import type { StreamOptions } from "../../src/pipeline/generate_options.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";
import { encodeTorchFile } from "../checkpoints/torch/torch_writer.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { CLASS_MODELS, loadClassModel } from "./class_models.ts";

const TOKENS = { outputType: "tokens" } as const;

/** Both kinds of models; the caller disposes of them. */
async function load() {
  const backend = await createWasmBackend({ threads: 1 });
  const classes = await loadClassModel("imagenet", backend);
  const nothing = await loadClassModel("ffhq", backend);
  return {
    backend,
    classes,
    nothing,
    [Symbol.asyncDispose]: async () => {
      await classes.dispose();
      await nothing.dispose();
      await backend.dispose();
    },
  };
}

/** A picture of 8 × 8 pixels as an autoencoder takes it: (3, 8, 8) in −1 … 1. */
function pixelsOf({ data }: RasterImage): Float32Array {
  return Float32Array.from(
    { length: 3 * 64 },
    (_, i) => data[4 * (i % 64) + Math.floor(i / 64)]! / 127.5 - 1,
  );
}

Deno.test("VQDiffusionPipeline.fromPretrained() loads models without components for text", async () => {
  await using loaded = await load();
  for (const pipe of [loaded.classes, loaded.nothing]) {
    assertEquals(Object.keys(pipe.components).toSorted(), ["scheduler", "transformer", "vqvae"]);
    assertEquals(await pipe.promptNotes([]), []);
    assertEquals(await pipe.knownNames(), undefined);
    await assertRejects(() => pipe.encodePrompt("a cat"), TypeError, "has no tokenizer");
  }
});

Deno.test("VQDiffusionPipeline.generate() gives each class and copy its own stream", async () => {
  await using loaded = await load();
  const { classes: pipe } = loaded;
  const options = { ...TOKENS, numInferenceSteps: 7, guidanceScale: 2 };
  const { images } = await pipe.generate({ classLabel: [5, 900] }, {
    ...options,
    numImagesPerPrompt: 2,
    seed: 3,
  });
  assertEquals(images.length, 4);
  for (const [i, image] of images.entries()) {
    const classLabel = i < 2 ? 5 : 900;
    const alone = await pipe.generate({ classLabel }, { ...options, seed: 3 + i });
    assertEquals(alone.images, [image]);
  }
  const { images: others } = await pipe.generate({ classLabel: 6 }, { ...options, seed: 3 });
  assert(others[0]!.some((token, i) => token !== images[0]![i]));
});

Deno.test("VQDiffusionPipeline.generate() draws unconditional images as many as asked for", async () => {
  await using loaded = await load();
  const { nothing: pipe } = loaded;
  const { images } = await pipe.generate(undefined, { ...TOKENS, numImagesPerPrompt: 3, seed: 8 });
  const { images: [last] } = await pipe.generate(undefined, { ...TOKENS, seed: 10 });
  assertEquals(images[2], last);
  const [[image]] = await pipe.generate(undefined, { returnDict: false, numInferenceSteps: 2 });
  assertEquals([image!.width, image!.height], [8, 8]);
  const { images: [random] } = await pipe.generate();
  assert(random instanceof RasterImage);
});

Deno.test("VQDiffusionPipeline.stream() streams classes and what has none", async () => {
  await using loaded = await load();
  const inputs = [[loaded.classes, { classLabel: 1 }], [loaded.nothing, undefined]] as const;
  for (const [pipe, input] of inputs) {
    const options = { seed: 1, numInferenceSteps: 5 };
    const { images } = await pipe.generate(input, options);
    const steps: number[] = [];
    let last: RasterImage[] = [];
    for await (const { step, steps: all, preview } of pipe.stream(input, options)) {
      steps.push(step);
      if (step === all) last = await preview();
    }
    assertEquals(steps, [1, 2, 3, 4, 5]);
    assertEquals(last, images);
  }
  for await (const { steps } of loaded.nothing.stream()) {
    assertEquals(steps, 100);
    break;
  }
});

Deno.test("VQDiffusionPipeline.generate() guides classes only if told to", async () => {
  await using loaded = await load();
  const { classes: pipe } = loaded;
  const draw = async (options: StreamOptions) =>
    (await pipe.generate({ classLabel: 9 }, { ...TOKENS, seed: 4, ...options })).images[0];
  const plain = await draw({});
  assertEquals(plain, await draw({ guidanceScale: 1 }));
  assert(String(plain) !== String(await draw({ guidanceScale: 0.5 })));
  // A model may say otherwise.
  const { components } = pipe;
  const guided = new VQDiffusionPipeline({ ...components, generationConfig: { guidanceScale: 3 } });
  const { images } = await guided.generate({ classLabel: 9 }, { ...TOKENS, seed: 4 });
  assertEquals(images[0], await draw({ guidanceScale: 3 }));
});

Deno.test("VQDiffusionPipeline.generate() guides classes in an interval only", async () => {
  await using loaded = await load();
  const draw = async (guidanceInterval?: readonly [number, number]) => {
    const options = { ...TOKENS, seed: 4, guidanceScale: 6, guidanceInterval };
    const { images } = await loaded.classes.generate({ classLabel: [9, 300] }, options);
    return String(images);
  };
  const guided = await draw();
  assertEquals(await draw([0, 1]), guided);
  const inPart = await draw([0.3, 0.6]);
  const { images } = await loaded.classes.generate({ classLabel: [9, 300] }, {
    ...TOKENS,
    seed: 4,
  });
  assertEquals(new Set([guided, inPart, String(images)]).size, 3);
});

Deno.test("VQDiffusionPipeline.generate() starts from pictures without text", async () => {
  await using loaded = await load();
  const image = RasterImage.fromFloat32(
    Float32Array.from({ length: 8 * 8 * 3 }, (_, i) => i % 7 / 7),
    8,
    8,
  );
  const options = { image, ...TOKENS, seed: 2, numInferenceSteps: 100 };
  const { images: kept } = await loaded.nothing.generate(undefined, { ...options, strength: 0 });
  using pixels = loaded.backend.tensor(pixelsOf(image), [1, 3, 8, 8]);
  using tokens = loaded.nothing.components.vqvae.encodeIndices(pixels);
  assertEquals(kept, [await tokens.data()]);
  const two = { ...options, image: [image, image], strength: 0.5 };
  const { images } = await loaded.nothing.generate(undefined, two);
  const { images: [second] } = await loaded.nothing.generate(undefined, {
    ...options,
    strength: 0.5,
    seed: 3,
  });
  assertEquals(images[1], second);
  const { images: [ofClass] } = await loaded.classes.generate({ classLabel: 3 }, options);
  assertEquals(ofClass!.length, 16);
});

Deno.test("VQDiffusionPipeline.generate() draws the tokens of a picture where the autoencoder does", async () => {
  await using loaded = await load();
  const { backend } = loaded;
  await inTemporaryFolder(async (path) => {
    // The codes of another autoencoder, numbered as the tokens of the transformer.
    const tokens = BigInt64Array.from({ length: 32 }, (_, code) => BigInt(code % 24));
    const bytes = new Uint8Array(tokens.buffer);
    const codes = `${path}/codes.pt`;
    await Deno.writeFile(codes, await encodeTorchFile({ dtype: "I64", shape: [32], bytes }));
    await using vqvae = await VQModel.fromPretrained(CLASS_MODELS.gumbel, {
      backend,
      original: { codes },
    });
    const { transformer, scheduler } = loaded.nothing.components;
    const pipe = new VQDiffusionPipeline({ transformer, scheduler, vqvae });
    const data = Uint8ClampedArray.from({ length: 4 * 64 }, (_, i) => i % 4 === 3 ? 255 : i % 251);
    const image = new RasterImage(data, 8, 8);
    const { images } = await pipe.generate(undefined, {
      ...{ ...TOKENS, image, strength: 0, seed: 5, numImagesPerPrompt: 2 },
    });
    using pixels = backend.tensor(pixelsOf(image), [1, 3, 8, 8]);
    for (const [i, found] of images.entries()) {
      using drawn = vqvae.encodeIndices(pixels, { generator: new TorchGenerator(5 + i) });
      assertEquals(found, await drawn.data());
    }
    assert(images[0]!.some((token, i) => token !== images[1]![i]));
    // Where nothing is kept of the picture, its codes are not drawn either.
    const maskImage = new RasterImage(new Uint8ClampedArray(4 * 64).fill(255), 8, 8);
    const options = { ...TOKENS, seed: 5, numImagesPerPrompt: 2 };
    assertEquals(
      await pipe.generate(undefined, { ...options, image, maskImage }),
      await pipe.generate(undefined, options),
    );
  });
});

Deno.test("VQDiffusionPipeline.generate() says what a model takes that does not draw from text", async () => {
  await using loaded = await load();
  await using text = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    backend: loaded.backend,
  });
  const embeds = { data: new Float32Array(4), shape: [1, 1, 4] as const };
  const { bytes } = loaded.backend.memoryUse();
  const { classes, nothing } = loaded;
  const cases: [VQDiffusionPipeline, GenerateInput, StreamOptions, string][] = [
    [
      classes,
      undefined,
      {},
      "classLabel is undefined, expected a whole number from 0 to 1000, as the model draws from classes",
    ],
    [
      classes,
      "a cat",
      {},
      'prompt is "a cat", expected { classLabel } in its place, a whole number from 0 to 1000',
    ],
    [classes, ["a", "b"], {}, "prompt is an array, expected { classLabel } in its place"],
    [
      classes,
      { seed: 1 } as never,
      {},
      "prompt is an object, expected { classLabel } in its place",
    ],
    [
      classes,
      { classLabel: 1001 },
      {},
      "classLabel is 1001, expected a whole number from 0 to 1000, the classes",
    ],
    [classes, { classLabel: -1 }, {}, "classLabel is -1, expected a whole number from 0 to 1000"],
    [classes, { classLabel: 1.5 }, {}, "classLabel is 1.5, expected a whole number"],
    [classes, { classLabel: "7" as never }, {}, 'classLabel is "7", expected a whole number'],
    [
      classes,
      { classLabel: undefined as never },
      {},
      "classLabel is undefined, expected a whole number",
    ],
    [
      classes,
      { classLabel: 1, seed: 3 } as never,
      {},
      "seed is given beside classLabel, expected it in the second argument",
    ],
    [classes, { classLabel: [] }, {}, "classLabel is an empty array, expected at least one label"],
    [classes, { classLabel: [1, 2000] }, {}, "classLabel[1] is 2000, expected a whole number"],
    [
      classes,
      { classLabel: 1 },
      { promptEmbeds: embeds },
      "promptEmbeds is given, expected none, as the model draws from classes",
    ],
    [
      classes,
      { classLabel: 1 },
      { negativePrompt: "blue" },
      "negativePrompt is given, expected none, as the model draws from classes",
    ],
    [
      classes,
      { classLabel: 1 },
      { styles: ["in ink"] },
      "styles is given, expected none, as the model draws from classes",
    ],
    [
      classes,
      { classLabel: 1 },
      { negativePromptEmbeds: embeds },
      "negativePromptEmbeds is given, expected none",
    ],
    [nothing, "a cat", {}, 'prompt is "a cat", expected undefined, as the model is unconditional'],
    [
      nothing,
      { classLabel: 3 },
      {},
      "classLabel is 3, expected undefined, as the model is unconditional",
    ],
    [
      nothing,
      undefined,
      { guidanceScale: 3 },
      "guidanceScale is 3, expected a finite number, only 1, as the model is unconditional",
    ],
    [
      nothing,
      undefined,
      { promptEmbeds: embeds },
      "promptEmbeds is given, expected none, as the model is unconditional",
    ],
    [
      nothing,
      undefined,
      { image: [] },
      "image is an empty array, expected at least one RasterImage",
    ],
    [
      text,
      { classLabel: 3 },
      {},
      "classLabel is given, expected a prompt, as the model draws from text",
    ],
    [text, undefined, {}, "prompt is undefined, expected a string"],
  ];
  for (const [pipe, input, options, message] of cases) {
    const error = await assertRejects(() => pipe.generate(input, options), Error);
    assert(error instanceof TypeError || error instanceof RangeError);
    assertEquals(error.message.slice(0, 17), "Cannot generate: ");
    assert(error.message.includes(message), error.message);
    assertThrows(() => pipe.stream(input, options), Error, message);
  }
  assertEquals(loaded.backend.memoryUse().bytes, bytes);
});

Deno.test("VQDiffusionPipeline refuses components for text beside a model that does not draw from it", async () => {
  await using loaded = await load();
  await using text = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    backend: loaded.backend,
  });
  const { textEncoder } = text.components;
  assertThrows(
    () => new VQDiffusionPipeline({ ...loaded.classes.components, textEncoder }),
    RangeError,
    "Cannot make a pipeline: the transformer draws from classes, expected no textEncoder",
  );
  const { tokenizer } = text.components;
  assertThrows(
    () => new VQDiffusionPipeline({ ...loaded.nothing.components, tokenizer }),
    RangeError,
    "the transformer is unconditional, expected no tokenizer",
  );
});

Deno.test("VQDiffusionPipeline.generate() lends a model without text another scheduler", async () => {
  await using loaded = await load();
  const { config } = loaded.classes.components.scheduler;
  const scheduler = new VQDiffusionScheduler({ ...config, timestepSpacing: "strided" });
  const other = new VQDiffusionPipeline({ ...loaded.classes.components, scheduler });
  const timesteps: number[] = [];
  const generator = new TorchGenerator(1);
  const options = { numInferenceSteps: 4, guidanceScale: 2, generator };
  for await (const { timestep } of other.stream({ classLabel: 1 }, options)) {
    timesteps.push(timestep);
  }
  assertEquals(timesteps, [99, 74, 49, 24]);
});

Deno.test("checkClassLabels() copies labels", () => {
  const classLabel = [1, 2];
  const labels = checkClassLabels({ classLabel }, { conditionType: "class", numClassEmbeds: 3 });
  classLabel[0] = 9;
  assertEquals(labels, [1, 2]);
  assertEquals(
    checkClassLabels(undefined, { conditionType: "none", numClassEmbeds: 0 }),
    undefined,
  );
});
