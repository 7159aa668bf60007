import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend, Frame } from "../../src/backends/backend.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { AdamW } from "../../src/training/adamw.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { BACKENDS } from "../backends/backends.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import {
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

const { make } = BACKENDS[1]!;
const MODEL = new URL("../../weights/", import.meta.url);
const TEXT = new URL("../fixtures/training/text/", import.meta.url);
const VQ_MODEL = new URL("../fixtures/vq_model/d_small_signal/", import.meta.url);

/** What a model predicts for the tokens of the golden batch. */
async function prediction(
  backend: Backend,
  model: Transformer2DModel,
  prepare: (frame: Frame) => void = () => {},
): Promise<Float32Array> {
  const batch = goldenBatch(new GoldenArrays("text/batch_main"));
  using context = backend.tensor(batch.encoderHiddenStates!, [4, 5, 12]);
  using sample = backend.tensor(batch.xt, [4, 16]);
  using timestep = backend.tensor(batch.timesteps, [4]);
  using frame = backend.frame();
  prepare(frame);
  const inputs = { sample, context: model.recordContext(frame, context), timestep };
  const result = model.record(frame, inputs);
  await frame.run();
  return await result.data();
}

Deno.test("TrainableParameters are saved as they are after training", async () => {
  await using folder = await temporaryFolder();
  await using backend = await make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const record = (frame: Frame) => parameters.record(frame);
  const before = await prediction(backend, transformer, record);
  {
    const sizes = { batch: 4, length: 5 };
    using loss = new DiffusionLoss(transformer, parameters, await goldenScheduler(), sizes);
    await loss.compute(goldenBatch(new GoldenArrays("text/batch_main")));
    await new AdamW().step(loss.gradients, 0.01);
  }
  const after = await prediction(backend, transformer, record);
  assertNotEquals(after, before);
  await transformer.savePretrained(folder.path);
  await using loaded = await Transformer2DModel.fromPretrained(folder.path, { backend });
  assertEquals(await prediction(backend, loaded), after);
});

Deno.test("TrainableParameters of an int8 model are saved as float32", async () => {
  await using folder = await temporaryFolder();
  await using backend = await make();
  const source = await openFolder(MODEL);
  const options = { backend, subfolder: "transformer", parameters: new TrainableParameters() };
  await using model = await Transformer2DModel.fromPretrained(source, options);
  await model.savePretrained(folder.path);
  const config = JSON.parse(await Deno.readTextFile(`${folder.path}/config.json`));
  assertEquals(config.quantization_config, undefined);
  await using loaded = await Transformer2DModel.fromPretrained(folder.path, { load: false });
  const { checkpoint } = loaded;
  assert(checkpoint.names().every((name) => checkpoint.dtype(name) === "F32"));
  const name = "transformer_blocks.1.attn1.to_k.weight";
  const { shape, data } = await checkpoint.load(name);
  const original = await model.checkpoint.load(name);
  assert(original.dtype === "i8");
  const columns = shape[1]!;
  const widened = Float32Array.from(
    original.data,
    (value, i) => value * original.scale[Math.floor(i / columns)]!,
  );
  assertEquals(data, widened);
});

Deno.test("TrainableParameters have to be loaded and recorded before a model is", async () => {
  await using backend = await make();
  const { transformer, parameters } = await goldenTransformer(backend);
  using context = backend.tensor(new Float32Array(5 * 12), [1, 5, 12]);
  const names = parameters.tensors.flatMap(({ arrays }) => arrays.map(([name]) => name));
  assertEquals(new Set(names), new Set(new GoldenArrays("text/grad_main").names()));
  using frame = backend.frame();
  assertThrows(
    () => transformer.recordContext(frame, context),
    ReferenceError,
    "its TrainableParameters are not recorded on a frame",
  );
  parameters.record(frame);
  transformer.recordContext(frame, context);
  await transformer.dispose();
  assertThrows(() => parameters.record(frame), ReferenceError, "was disposed of");
});

Deno.test("TrainableParameters of a VQ model are saved, and load as they were", async () => {
  await using folder = await temporaryFolder();
  await using backend = await make();
  const source = await openFolder(VQ_MODEL);
  const options = { backend, parameters: new TrainableParameters() };
  await using model = await VQModel.fromPretrained(source, options);
  const [first] = options.parameters.tensors;
  const values = (await first!.tensor.data()).map((value) => value + 1);
  first!.tensor.write(values);
  await model.savePretrained(folder.path);
  await using saved = await VQModel.fromPretrained(folder.path, { load: false });
  for (const name of model.checkpoint.names()) {
    const [before, after] = [await model.checkpoint.load(name), await saved.checkpoint.load(name)];
    assertEquals(after.shape, before.shape, name);
    const isFirst = name === first!.arrays[0]![0];
    assertEquals(after.data, isFirst ? values : before.data, name);
  }
});

Deno.test("TrainableParameters count as float32 where memory is checked", async () => {
  await using backend = await make();
  const source = await openFolder(MODEL);
  const declare = (options: object) =>
    Transformer2DModel.fromPretrained(source, {
      backend,
      subfolder: "transformer",
      load: false,
      ...options,
    });
  await using fixed = await declare({});
  await using trained = await declare({ parameters: new TrainableParameters() });
  const bytes = async (model: Transformer2DModel, dtype?: "fp32" | "q8") => {
    await using dry = await createDryBackend({ threads: 1 });
    await model.dryCopy(dry, dtype);
    return dry.memoryUse().bytes;
  };
  const { bytes: before } = backend.memoryUse();
  await trained.load();
  const tensors = backend.memoryUse().bytes - before;
  // Packed, a frame has them once more.
  const packed = await bytes(fixed, "fp32");
  assertEquals(await bytes(trained), tensors + packed);
  assertEquals(await bytes(trained, "q8"), tensors + packed);
});

Deno.test("TrainableParameters that are not loaded are saved as their checkpoint holds them", async () => {
  await using folder = await temporaryFolder();
  await using backend = await make();
  const options = { backend, parameters: new TrainableParameters(), load: false };
  await using model = await Transformer2DModel.fromPretrained(await openFolder(TEXT), options);
  await model.savePretrained(folder.path);
  await using saved = await Transformer2DModel.fromPretrained(folder.path, { load: false });
  const names = model.checkpoint.names();
  assertEquals(new Set(saved.checkpoint.names()), new Set(names));
  for (const name of names) {
    assertEquals(await saved.checkpoint.load(name), await model.checkpoint.load(name), name);
  }
});

Deno.test("TrainableParameters refuse more layers than the checkpoint has arrays", async () => {
  await using backend = await make();
  const json = JSON.parse(await Deno.readTextFile(new URL("config.json", TEXT)));
  const name = "diffusion_pytorch_model.safetensors";
  const source = memoryFolder({
    "config.json": JSON.stringify({ ...json, num_layers: 1e9 }),
    [name]: await Deno.readFile(new URL(name, TEXT)),
  });
  const options = { backend, parameters: new TrainableParameters() };
  await assertRejects(
    () => Transformer2DModel.fromPretrained(source, options),
    RangeError,
    "num_layers is 1000000000, expected at most ",
  );
  assertEquals(backend.memoryUse().bytes, 0);
});
