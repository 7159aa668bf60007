// The networks of Microsoft's models, from their original checkpoints: predictions, pictures to tokens and
// back.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/wasm_backend.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { BatchGenerator } from "../../src/random/batch_generator.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { BACKENDS } from "../backends/backends.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import {
  CLASS_MODELS,
  classModelData,
  type ClassModelName,
  GUMBEL_CODES,
} from "../pipeline/class_models.ts";

/** About ten times the reference's own error in float32. */
const [LOG_PROBS, PIXELS, EMBEDDINGS] = [5e-5, 5e-3, 2e-5];

const TIMESTEPS = [0, 1, 50, 99];

function assertNear(
  actual: Float32Array,
  expected: Float32Array,
  most: number,
  what: string,
): void {
  assertEquals(actual.length, expected.length, what);
  const worst = actual.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0);
  assert(worst < most, `${what} is off by ${worst}`);
}

function loadTransformer(name: ClassModelName, backend: Backend): Promise<Transformer2DModel> {
  return Transformer2DModel.fromPretrained(CLASS_MODELS[name], {
    backend,
    subfolder: "transformer",
  });
}

/** The autoencoder of a model, or the one that lies alone. */
function loadVq(name: ClassModelName, backend: Backend): Promise<VQModel> {
  return VQModel.fromPretrained(CLASS_MODELS[name], {
    backend,
    ...(name === "gumbel" ? { original: { codes: GUMBEL_CODES } } : { subfolder: "vqvae" }),
  });
}

const WEBGPU = { name: "WebGPU", make: makeWebGpu, ignore: WITHOUT_WEBGPU };

for (
  const { name, make, ignore } of [...BACKENDS.map((one) => ({ ...one, ignore: false })), WEBGPU]
) {
  const test = (what: string, fn: (backend: Backend) => Promise<void>) =>
    Deno.test({
      name: `${name}: ${what}`,
      ignore,
      fn: async () => {
        await using backend = await make();
        await fn(backend);
      },
    });

  test("Transformer2DModel.forward() predicts from classes", async (backend) => {
    const data = classModelData("imagenet");
    await using model = await loadTransformer("imagenet", backend);
    using sample = backend.tensor(data.ints("x"), [3, 16]);
    const labels = [...data.ints("labels")];
    for (const timestep of TIMESTEPS) {
      // As for guidance: the unconditional class for all, then the classes.
      using classLabels = backend.tensor(Int32Array.from([1000, 1000, 1000, ...labels]), [6]);
      using predicted = model.forward({ sample, classLabels, timestep });
      const values = await predicted.data();
      const half = values.length / 2;
      const expected = (of: string) => data.floats(`cf_log_p_x0_t${timestep}_${of}`);
      assertNear(
        values.subarray(0, half),
        expected("uncond"),
        LOG_PROBS,
        `class 1000, ${timestep}`,
      );
      assertNear(values.subarray(half), expected("labels"), LOG_PROBS, `classes, ${timestep}`);
    }
  });

  test("Transformer2DModel.forward() predicts without condition", async (backend) => {
    const data = classModelData("ffhq");
    await using model = await loadTransformer("ffhq", backend);
    using sample = backend.tensor(data.ints("x"), [3, 16]);
    for (const timestep of TIMESTEPS) {
      using predicted = model.forward({ sample, timestep });
      const expected = data.floats(`log_p_x0_t${timestep}`);
      assertNear(await predicted.data(), expected, LOG_PROBS, `timestep ${timestep}`);
    }
  });

  for (const model of ["ithq", "imagenet", "ffhq", "gumbel"] as const) {
    test(`VQModel encodes and decodes as in class_models/${model}`, async (backend) => {
      const data = classModelData(model);
      await using vqvae = await loadVq(model, backend);
      using pictures = data.pictures(backend);
      const generator = model === "gumbel" ? new TorchGenerator(22) : undefined;
      using tokens = vqvae.encodeIndices(pictures, { generator });
      assertEquals([...await tokens.data()], [...data.ints("image_tokens")]);
      for (const [from, to] of [["image_tokens", "image"], ["random_tokens", "random_tokens"]]) {
        using indices = backend.tensor(data.ints(from!), data.shape(from!));
        using decoded = vqvae.decodeIndices(indices);
        const bytes = (await decoded.data())
          .map((value) => (Math.min(1, Math.max(-1, value)) + 1) / 2 * 255);
        assertNear(bytes, data.floats(`${to}_decoded`), PIXELS, from!);
      }
    });
  }

  test("VQModel.encodeIndices() takes the likeliest codes without a generator", async (backend) => {
    const data = classModelData("gumbel");
    await using vqvae = await loadVq("gumbel", backend);
    using pictures = data.pictures(backend);
    using tokens = vqvae.encodeIndices(pictures);
    assertEquals([...await tokens.data()], [...data.ints("noiseless_tokens")]);
    using latents = vqvae.encode(pictures);
    const quantized = vqvae.quantize(latents);
    using indices = quantized.indices;
    using codes = quantized.latents;
    assertEquals([...await indices.data()], [...data.ints("noiseless_tokens")]);
    using direct = vqvae.decode(latents);
    using fromCodes = vqvae.decode(codes, { forceNotQuantize: true });
    assertEquals(await direct.data(), await fromCodes.data());
  });
}

Deno.test("VQModel.encodeIndices() draws each picture with its own stream", async () => {
  const data = classModelData("gumbel");
  await using backend = await createWasmBackend({ threads: 1 });
  await using vqvae = await loadVq("gumbel", backend);
  using pictures = data.pictures(backend);
  const streams = [3, 4].map((seed) => new TorchGenerator(seed));
  using both = vqvae.encodeIndices(pictures, { generator: new BatchGenerator(streams) });
  using last = backend.tensor((await pictures.data()).slice(3 * 64), [1, 3, 8, 8]);
  using alone = vqvae.encodeIndices(last, { generator: new TorchGenerator(4) });
  assertEquals([...(await both.data()).subarray(16)], [...await alone.data()]);
  assertThrows(
    () => vqvae.encodeIndices(last, { generator: {} as TorchGenerator }),
    TypeError,
    "generator is an object, expected an object with a method fill",
  );
});

Deno.test("VQModel.config has the token of each code", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using vqvae = await loadVq("imagenet", backend);
  const { tokenOfCode, numVqEmbeddings, quantizerType } = vqvae.config;
  assertEquals(tokenOfCode, [...classModelData("imagenet").ints("full_to_quantize")]);
  assertEquals([numVqEmbeddings, quantizerType], [12, "nearest"]);
});

Deno.test("VQModel.create() refuses quantizers that it does not know, and tokens that there are not", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using vqvae = await loadVq("imagenet", backend);
  const { checkpoint, config: { json } } = vqvae;
  // Closing it is left to the model that it came from.
  const arrays = { ...bound(checkpoint), [Symbol.asyncDispose]: () => Promise.resolve() };
  const create = (changes: Record<string, unknown>) =>
    VQModel.create(backend, { description: "x", values: { ...json, ...changes } }, arrays);
  const cases: [Record<string, unknown>, string][] = [
    [{ quantizer_type: "lookup" }, 'quantizer_type is "lookup", expected "nearest" or "gumbel"'],
    [{ quantizer_type: "gumbel" }, "missing quantize.proj.weight, quantize.proj.bias"],
    [{ token_of_code: [0, 12] }, "token_of_code[1] is 12, expected an integer from 0 to 11"],
    [{ token_of_code: "all" }, 'token_of_code is "all", expected a list'],
    [{ token_of_code: [0, 1] }, "token_of_code has 2 elements, expected at least 12"],
    [
      { token_of_code: Array.from({ length: 12 }, (_, i) => i) },
      "quantize.codebook.weight has shape (32, 6), expected (12, 6)",
    ],
    [
      { num_vq_embeddings: 2 ** 40 },
      "token_of_code has 32 elements, expected at least 1099511627776",
    ],
    [{ block_out_channels: [32, 64] }, "block_out_channels is (32, 64), expected equal numbers"],
  ];
  for (const [changes, message] of cases) {
    const error = await assertRejects(() => create(changes), Error);
    assert(error.message.includes(message), error.message);
  }
});

/** The methods of a checkpoint, to be called apart from it. */
function bound(source: VQModel["checkpoint"]): VQModel["checkpoint"] {
  return {
    description: source.description,
    names: () => source.names(),
    shape: (name) => source.shape(name),
    dtype: (name) => source.dtype(name),
    load: (name) => source.load(name),
    loadStored: (name) => source.loadStored(name),
    release: () => source.release(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

Deno.test("Transformer2DModel refuses what its kind does not draw from", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await using classes = await loadTransformer("imagenet", backend);
  await using nothing = await loadTransformer("ffhq", backend);
  await using text = await loadTransformer("ithq", backend);
  using sample = backend.tensor(new Int32Array(32), [2, 16]);
  using texts = backend.tensor(new Int32Array(64), [1, 64]);
  using classLabels = backend.tensor(new Int32Array(2), [2]);
  using three = backend.tensor(new Int32Array(3), [3]);
  using floats = backend.tensor(new Float32Array(2), [2]);
  using encoderHiddenStates = backend.tensor(new Float32Array(64), [1, 1, 64]);
  const timestep = 3;
  const { bytes } = backend.memoryUse();
  const cases: [() => unknown, string][] = [
    [() => classes.forward({ sample, timestep }), "classLabels is of type undefined"],
    [
      () => classes.forward({ sample, timestep, classLabels: floats as never }),
      "classLabels is of type f32, expected a tensor of i32",
    ],
    [
      () => classes.forward({ sample, timestep, classLabels: three }),
      "the batch of classLabels is 3, expected a multiple of the 2 of sample",
    ],
    [
      () => classes.forward({ sample, timestep, classLabels, encoderHiddenStates }),
      "encoderHiddenStates is given, expected none, as the model draws from classes",
    ],
    [
      () => nothing.forward({ sample, timestep, classLabels }),
      "classLabels is given, expected none, as the model is unconditional",
    ],
    [
      () => text.forward({ sample: texts, timestep, encoderHiddenStates, classLabels }),
      "classLabels is given, expected none, as the model draws from text",
    ],
    [
      () => text.forward({ sample: texts, timestep }),
      "encoderHiddenStates is of type undefined, expected a tensor of f32",
    ],
  ];
  for (const [call, message] of cases) {
    const error = assertThrows(call, Error, message);
    assert(error.message.startsWith("Cannot run Transformer2DModel: "), error.message);
  }
  assertEquals(backend.memoryUse().bytes, bytes);
});

Deno.test("CLIPTextModel encodes as the original in float32", async () => {
  const data = classModelData("ithq");
  await using backend = await createWasmBackend({ threads: 1 });
  await using model = await CLIPTextModel.fromPretrained(CLASS_MODELS.ithq, {
    backend,
    subfolder: "text_encoder",
    dtype: "fp32",
  });
  using ids = backend.tensor(data.ints("input_ids"), [3, 77]);
  using states = model.forward(ids);
  const values = await states.data();
  const columns = states.shape[2]!;
  for (let row = 0; row < values.length; row += columns) {
    const norm = Math.hypot(...values.subarray(row, row + columns));
    for (let i = row; i < row + columns; i++) values[i]! /= norm;
  }
  assertNear(values, data.floats("text_embeddings_float32"), EMBEDDINGS, "the embeddings");
});
