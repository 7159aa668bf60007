import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { GradientSum } from "../../src/training/gradient_sum.ts";
import { TrainableModel } from "../../src/training/trainable_model.ts";
import { Trainer, type TrainerOptions } from "../../src/training/trainer.ts";
import type { StateArrays } from "../../src/training/trainer_state.ts";
import {
  encodePictures,
  ExampleOrder,
  type TrainingExample,
} from "../../src/training/training_examples.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createDryBackend } from "../../src/backends/select.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { tinyFiles, tinyFilesWithoutLearned } from "../pipeline/golden_runs.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { pictures, tinyFolder, tinyModel } from "./pictures.ts";

const OPTIONS = { steps: 6, batch: 3, warmUp: 1, captionDropout: 0.3, seed: 7 } as const;

/** How to train the tiny model. */
interface TrainedOptions extends TrainerOptions {
  readonly threads?: number;
  readonly trainTextEncoder?: boolean;
  /** The state to go on from. */
  readonly from?: StateArrays;
}

/** Trains the tiny model, and gives the state after so many steps. */
async function trained(
  steps: number,
  { threads = 1, trainTextEncoder, from, ...options }: TrainedOptions = {},
): Promise<StateArrays> {
  await using model = await tinyModel({ threads, trainTextEncoder });
  const examples = await encodePictures(model.components, pictures(4));
  using trainer = await Trainer.create(model, examples, { ...OPTIONS, ...options });
  if (from) trainer.restore(from);
  while (trainer.history.length < steps) await trainer.step();
  return await trainer.state();
}

Deno.test("Trainer does the same steps for a seed, bit for bit, on any number of threads", async () => {
  const first = await trained(3, { threads: 2 });
  assertEquals(await trained(3, { threads: 2 }), first);
  assertEquals(await trained(3, { threads: 1 }), first);
  const other = await trained(3, { threads: 2, seed: 8 });
  for (const [name, values] of first) {
    if (name.startsWith("parameter.")) assertNotEquals(other.get(name), values, name);
  }
});

Deno.test("Trainer trains the text encoder along where that is asked for", async () => {
  const options = { trainTextEncoder: true };
  const [one, two] = [await trained(1, options), await trained(2, options)];
  const names = [...one.keys()].filter((name) => name.startsWith("parameter.textEncoder."));
  assert(names.length > 10, `${names}`);
  for (const name of names) assertNotEquals(one.get(name), two.get(name), name);
  assertEquals(await trained(2, { ...options, from: one }), two);
  const without = await trained(1);
  assertEquals([...without.keys()].filter((name) => name.includes("textEncoder")), []);
});

for (const optimizer of ["muon", "adamw"] as const) {
  Deno.test(`Trainer goes on from a state as if it had not stopped, with ${optimizer}`, async () => {
    const options = { optimizer, accumulate: 2 };
    const whole = await trained(5, options);
    const half = await trained(2, options);
    assertNotEquals(half, whole);
    assertEquals(await trained(5, { ...options, from: half }), whole);
  });
}

Deno.test("Trainer does the same steps where it computes again, bit for bit", async () => {
  const options = { trainTextEncoder: true, accumulate: 2 };
  assertEquals(await trained(2, { ...options, recompute: true }), await trained(2, options));
});

Deno.test("Trainer.step() trains transformer and learned embeddings", async () => {
  await using model = await tinyModel();
  const examples = await encodePictures(model.components, pictures(4));
  const read = () =>
    Promise.all(
      [...model.tensors].map(async ([name, { tensor }]) => [name, await tensor.data()] as const),
    );
  const before = new Map(await read());
  using trainer = await Trainer.create(model, examples, { ...OPTIONS, captionDropout: 1 });
  const { step, loss, gradNorm, learningRate } = await trainer.step();
  assertEquals([step, learningRate], [1, 1.5e-3 / 3]);
  assert(loss > 0 && gradNorm > 0);
  for (const [name, values] of await read()) assertNotEquals(values, before.get(name), name);
  assert(before.has("learnedClassifierFreeSamplingEmbeddings.embeddings"));
  assertEquals(trainer.history.length, 1);
});

Deno.test({
  name: "WebGPU: Trainer does the steps of the CPU",
  ignore: WITHOUT_WEBGPU,
  fn: async () => {
    const losses = async (backend: Backend) => {
      await using model = await TrainableModel.fromPretrained(tinyFolder(), { backend });
      const examples = await encodePictures(model.components, pictures(4));
      using trainer = await Trainer.create(model, examples, OPTIONS);
      for (let i = 0; i < 3; i++) await trainer.step();
      return trainer.history.map(({ loss }) => loss);
    };
    await using gpu = await makeWebGpu();
    await using cpu = await BACKENDS[1]!.make();
    // Rounding differs; what it makes of the first steps is small beside the loss.
    assertClose(await losses(gpu), await losses(cpu), { absolute: 0, relative: 1e-3 }, "losses");
    assertEquals(gpu.memoryUse().bytes, 0);
  },
});

Deno.test("Trainer lowers the loss", async () => {
  await using model = await tinyModel();
  const examples = await encodePictures(model.components, pictures(4));
  const options = { ...OPTIONS, steps: 40, batch: 6, learningRate: 3e-3 };
  using trainer = await Trainer.create(model, examples, options);
  while (trainer.history.length < 40) await trainer.step();
  const mean = (from: number) =>
    trainer.history.slice(from, from + 10).reduce((sum, { loss }) => sum + loss / 10, 0);
  assert(mean(30) < 0.7 * mean(0), `${mean(0)} ${mean(30)}`);
});

Deno.test("GradientSum gives the mean of several batches", async () => {
  await using backend = await BACKENDS[1]!.make();
  using tensor = backend.tensor(new Float32Array(2), [2]);
  using bias = backend.tensor(new Float32Array(1), [1]);
  const [matrix, other] = [{ arrays: [], tensor }, { arrays: [], tensor: bias }];
  const gradient = (...values: number[]) => ({
    data: () => Promise.resolve(Float32Array.from(values)),
  });
  const sum = new GradientSum();
  await sum.add([{ parameter: matrix, gradient: gradient(1, 2) }, {
    parameter: other,
    gradient: gradient(8),
  }]);
  await sum.add([{ parameter: matrix, gradient: gradient(3, -6) }, {
    parameter: other,
    gradient: gradient(1),
  }]);
  const found = sum.gradients;
  assertEquals(found.map(({ parameter }) => parameter), [matrix, other]);
  const values = await Promise.all(found.map(({ gradient }) => gradient.data()));
  assertEquals(values, [Float32Array.of(2, -2), Float32Array.of(4.5)]);
});

Deno.test("Trainer gives dropped captions the empty one if nothing is learned for them", async () => {
  const folder = memoryFolder(tinyFilesWithoutLearned(), "tiny");
  await using model = await TrainableModel.fromPretrained(folder, { device: "wasm", threads: 1 });
  const examples = await encodePictures(model.components, pictures(2));
  const losses = [];
  for (const captions of [["stripes", "more"], ["", ""], ["a", "b"]]) {
    const renamed = examples.map(({ tokens }, i) => ({ tokens, caption: captions[i]! }));
    using trainer = await Trainer.create(model, renamed, {
      ...OPTIONS,
      captionDropout: 1,
      learningRate: 0,
    });
    losses.push((await trainer.step()).loss);
  }
  assertEquals(losses[1], losses[0]);
  assertEquals(losses[2], losses[0]);
});

Deno.test("TrainableModel keeps no styles: prompts are to be drawn as captions were learned", async () => {
  const config = { guidance_scale: 2, styles: ["flat style"], top_k: 3 };
  const text = new TextEncoder().encode(JSON.stringify(config));
  const folder = memoryFolder({ ...tinyFiles(), "generation_config.json": text }, "tiny");
  await using model = await TrainableModel.fromPretrained(folder, { device: "wasm", threads: 1 });
  await inTemporaryFolder(async (path) => {
    await model.savePretrained(path);
    const saved = JSON.parse(await Deno.readTextFile(`${path}/generation_config.json`));
    assertEquals(saved, { guidance_scale: 2, top_k: 3 });
  });
});

Deno.test("Trainer says in which step numbers are not finite any more", async () => {
  await using model = await tinyModel();
  const examples = await encodePictures(model.components, pictures(4));
  using trainer = await Trainer.create(model, examples, {
    ...OPTIONS,
    learningRate: 1e30,
    warmUp: 0,
  });
  await trainer.step();
  await assertRejects(
    () => trainer.step(),
    RangeError,
    "a lower learning rate may help",
  );
  assertEquals(trainer.history.length, 1);
});

Deno.test("Trainer refuses options and states that do not fit, and gives all memory back", async () => {
  await using model = await tinyModel();
  const { bytes } = model.backend.memoryUse();
  const examples = await encodePictures(model.components, pictures(1));
  const create = (options: TrainerOptions, list: readonly TrainingExample[] = examples) =>
    Trainer.create(model, list, options);
  for (
    const [options, message] of [
      [{ steps: 0 }, "steps is 0"],
      [{ batch: 1.5 }, "batch is 1.5"],
      [{ warmUp: 600 }, "warmUp is 600, expected a whole number from 0 to 599"],
      [{ learningRate: -1 }, "learningRate is -1"],
      [{ captionDropout: 2 }, "captionDropout is 2"],
      [{ emaDecay: NaN }, "emaDecay is NaN"],
      [{ seed: 0.5 }, "the seed is 0.5"],
    ] as const
  ) await assertRejects(() => create(options), RangeError, message);
  const text = { recompute: "true" as unknown as boolean };
  await assertRejects(() => create(text), TypeError, 'recompute is "true"');
  const misspelt = { optimiser: "adamw" } as TrainerOptions;
  await assertRejects(() => create(misspelt), TypeError, "did you mean optimizer?");
  await assertRejects(() => create({}, []), RangeError, "there are no examples");
  {
    using trainer = await create({ steps: 2, batch: 1 });
    const state = new Map(await trainer.state());
    state.delete("generator");
    assertThrows(() => trainer.restore(state), TypeError, "its state has no array generator");
  }
  assertEquals(model.backend.memoryUse().bytes, bytes);
});

Deno.test("Trainer says what takes less memory where it does not suffice", async () => {
  const backend = await createDryBackend({
    device: "wasm",
    threads: 1,
    memoryLimit: 120 * 2 ** 20,
  });
  await using _backend = backend;
  await using model = await TrainableModel.fromPretrained(tinyFolder(), { backend });
  const pixels = model.components.transformer.config.sampleSize ** 2;
  const examples = [{ caption: "stripes", tokens: new Int32Array(pixels) }];
  const { bytes } = backend.memoryUse();
  const create = (batch: number, recompute: boolean) =>
    Trainer.create(model, examples, { steps: 1, batch, recompute });
  const refused = (batch: number, recompute: boolean, wanted: string) =>
    assertRejects(
      () => create(batch, recompute),
      RangeError,
      `Cannot train: batch is ${batch}, expected fewer pictures, as with ${wanted}: Cannot allocate`,
    );
  // 141 and 90 MiB.
  await refused(100, false, "accumulate, or recompute");
  (await create(100, true)).dispose();
  await refused(400, true, "accumulate");
  assertEquals(backend.memoryUse().bytes, bytes);
});

Deno.test("ExampleOrder takes each example once before any comes again", () => {
  const order = new ExampleOrder(5, 3n);
  const places = Array.from({ length: 15 }, (_, i) => order.at(i));
  const epochs = [places.slice(0, 5), places.slice(5, 10), places.slice(10)];
  for (const epoch of epochs) assertEquals(epoch.toSorted(), [0, 1, 2, 3, 4]);
  assertNotEquals(epochs[0], epochs[1]);
  const again = new ExampleOrder(5, 3n);
  assertEquals([again.at(12), again.at(1)], [places[12], places[1]]);
});
