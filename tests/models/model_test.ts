import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Backend, Tensor } from "../../src/backends/backend.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { compileKernels } from "../../src/backends/wasm/kernels.ts";
import { openWeights } from "../../src/checkpoints/weights.ts";
import { DIFFUSERS_WEIGHTS } from "../../src/files/weight_names.ts";
import { CLIPTextModel } from "../../src/models/clip_text_model.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { createOracle } from "../backends/oracle_backend.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { GoldenCase } from "./golden.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const TEXT = "clip_text/c_small_signal";
const TRANSFORMER = "transformer/d_small_signal";
const VQ = "vq_model/d_small_signal";

/** Reads a result and disposes of it and of the inputs. */
async function read(result: Tensor, ...inputs: Disposable[]): Promise<Float32Array> {
  const data = await result.data();
  [result, ...inputs].forEach((tensor) => tensor[Symbol.dispose]());
  return data;
}

function predict(model: Transformer2DModel): Promise<Float32Array> {
  const golden = new GoldenCase(TRANSFORMER);
  const sample = golden.idTensor(model.backend, "latents_t1");
  const encoderHiddenStates = golden.tensor(model.backend, "encoder_hidden_states_t1");
  const logProbs = model.forward({ sample, encoderHiddenStates, timestep: 1 });
  return read(logProbs, sample, encoderHiddenStates);
}

Deno.test("fromPretrained() loads a folder on a backend of the caller's", async () => {
  await using backend = await createOracle();
  const before = backend.memoryUse();
  {
    await using model = await Transformer2DModel.fromPretrained(new URL(TRANSFORMER, FIXTURES), {
      backend,
    });
    const expected = new GoldenCase(TRANSFORMER).floats("log_p_x0_t1").data;
    assertClose(await predict(model), expected, { absolute: 1e-4 }, "log p(x0)");
  }
  assertEquals(backend.memoryUse(), before);
});

Deno.test("fromPretrained() makes a backend of its own if none is given", async () => {
  const model = await VQModel.fromPretrained(new URL("vq_model", FIXTURES), {
    device: "wasm",
    threads: 2,
    subfolder: "d_small_signal",
  });
  assertEquals(model.backend.device.type, "wasm");
  const codes = new GoldenCase(VQ).idTensor(model.backend, "codes_0");
  const images = await read(model.decodeIndices(codes), codes);
  const expected = new GoldenCase(VQ).floats("decode_from_codes_0").data;
  assertClose(images, expected, { absolute: 1e-4 }, "images");
  // Without it the workers would be reported as leaked.
  await model.dispose();
});

Deno.test("fromPretrained() makes its backend of kernels that are compiled already", async () => {
  // Plain SIMD: an engine that has relaxed SIMD would not choose it.
  await using model = await CLIPTextModel.fromPretrained(new URL(TEXT, FIXTURES), {
    device: "wasm",
    threads: 1,
    module: await compileKernels("simd"),
  });
  assertStringIncludes(model.backend.device.name, "plain SIMD");
});

Deno.test("create() checks the arrays of a checkpoint also if it does not load them", async () => {
  await using backend = await createOracle();
  const golden = new GoldenCase(TEXT);
  const { description, values } = await golden.config();
  const config = { description, values: { ...values, vocab_size: 301 } };
  const weights = await golden.weights("model.safetensors");
  await assertRejects(
    () => CLIPTextModel.create(backend, config, weights, { load: false }),
    TypeError,
    "expected (301, 32)",
  );
});

Deno.test("fromPretrained() reports when the model is ready", async () => {
  await using backend = await createOracle();
  const types: string[] = [];
  const onProgress = (event: { type: string }) => void types.push(event.type);
  await using _model = await CLIPTextModel.fromPretrained(new URL(TEXT, FIXTURES), {
    backend,
    onProgress,
  });
  assertEquals(types.at(-1), "ready");
});

Deno.test("fromPretrained() names a file that is missing or damaged", async () => {
  await using backend = await createOracle();
  const load = (files: Record<string, string>) => () =>
    CLIPTextModel.fromPretrained(memoryFolder(files, "folder"), { backend });
  const config = JSON.stringify((await new GoldenCase(TEXT).config()).values);
  await assertRejects(load({}), Error, "folder/config.json");
  await assertRejects(load({ "config.json": "{" }), SyntaxError, "folder/config.json");
  await assertRejects(load({ "config.json": config }), Error, "model.safetensors");
  await assertRejects(
    load({ "config.json": config, "model.safetensors": "garbage" }),
    SyntaxError,
    "model.safetensors",
  );
  assertEquals(backend.memoryUse().allocations, 0);
});

Deno.test("fromPretrained() refuses an unknown dtype", async () => {
  await using backend = await createOracle();
  const dtype = "fp8" as "fp16";
  await assertRejects(
    () => CLIPTextModel.fromPretrained(new URL(TEXT, FIXTURES), { backend, dtype }),
    RangeError,
    `dtype is "fp8"`,
  );
});

Deno.test("savePretrained() writes what fromPretrained() reads", async () => {
  await using backend = await createOracle();
  await inTemporaryFolder(async (path) => {
    await using model = await CLIPTextModel.fromPretrained(new URL(TEXT, FIXTURES), { backend });
    await model.savePretrained(`${path}/text_encoder`);
    await using copy = await CLIPTextModel.fromPretrained(path, {
      backend,
      subfolder: "text_encoder",
    });
    assertEquals(copy.config, model.config);
    assertEquals(copy.checkpoint.names().toSorted(), model.checkpoint.names().toSorted());
    for (const name of model.checkpoint.names()) {
      assertEquals(await copy.checkpoint.load(name), await model.checkpoint.load(name), name);
    }
  });
});

Deno.test("savePretrained() stores weights as wanted, and int8 only where it is harmless", async () => {
  await using backend = await createOracle();
  const load = (source: string | URL) => Transformer2DModel.fromPretrained(source, { backend });
  await inTemporaryFolder(async (path) => {
    await using model = await load(new URL(TRANSFORMER, FIXTURES));
    await model.savePretrained(`${path}/fp16`, { dtype: "fp16" });
    await model.savePretrained(`${path}/q8`, { dtype: "q8" });
    assertEquals(await storedTypes(`${path}/fp16`), ["F16"]);
    assertEquals(await storedTypes(`${path}/q8`), ["F32", "I8"]);
    await assertSaved(`${path}/q8`);
    const expected = await predict(model);
    // As for weights that are rounded while loading: errors of 2⁻¹¹ and 2⁻⁷ of logits of about 10.
    await using half = await load(`${path}/fp16`);
    assertClose(await predict(half), expected, { absolute: 0.03 }, "fp16");
    await using quarter = await load(`${path}/q8`);
    assertClose(await predict(quarter), expected, { absolute: 0.6 }, "q8");
  });
});

Deno.test("savePretrained() throws after dispose() and for an unknown dtype", async () => {
  const backend: Backend = await createOracle();
  const model = await CLIPTextModel.fromPretrained(new URL(TEXT, FIXTURES), { backend });
  await inTemporaryFolder(async (path) => {
    const dtype = "int4" as "q8";
    await assertRejects(() => model.savePretrained(path, { dtype }), RangeError, `"int4"`);
    await model.dispose();
    await assertRejects(() => model.savePretrained(path), ReferenceError, "disposed of");
    assertEquals([...Deno.readDirSync(path)], []);
  });
});

async function storedTypes(path: string): Promise<string[]> {
  await using weights = await openWeights(await openFolder(path), DIFFUSERS_WEIGHTS);
  const types = weights.names().map((name) => weights.dtype(name) ?? "");
  return [...new Set(types)].toSorted();
}

/** Fails unless the large linear layers are int8 and the sensitive ones are named as exceptions. */
async function assertSaved(path: string): Promise<void> {
  await using weights = await openWeights(await openFolder(path), DIFFUSERS_WEIGHTS);
  assertEquals(weights.dtype("transformer_blocks.0.attn1.to_q.weight"), "I8");
  assertEquals(weights.dtype("transformer_blocks.1.ff.net.2.weight"), "I8");
  assertEquals(weights.dtype("out.weight"), "F32");
  assertEquals(weights.dtype("transformer_blocks.0.norm1.linear.weight"), "F32");
  const { quantization_config: quantization } = JSON.parse(
    await Deno.readTextFile(`${path}/config.json`),
  );
  assert(quantization.ignore.includes("out"));
  assertStringIncludes(quantization.ignore.join(), "transformer_blocks.0.norm1.linear");
}
