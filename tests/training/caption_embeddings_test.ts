// Dropped captions and the embeddings that are learned for them, against two steps of Microsoft's original.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";
import { openSafetensors } from "../../src/checkpoints/safetensors.ts";
import { memoryFile } from "../../src/files/memory_folder.ts";
import { LearnedClassifierFreeSamplingEmbeddings } from "../../src/models/learned_embeddings.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { AdamW } from "../../src/training/adamw.ts";
import type { UnconditionalEmbeddings } from "../../src/training/caption_embeddings.ts";
import { type DiffusionBatch, DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { GoldenArrays, goldenScheduler, goldenTransformer } from "./golden_training.ts";

const FOLDER = new URL("../fixtures/training/learnable_cf/", import.meta.url);
const [BATCH, LENGTH, COLUMNS] = [4, 77, 512] as const;
/** The original's loss and norm of each step. */
const STEPS = [
  { loss: 4.0015153884887695, norm: 2.3113673376567787, seed: 1000 },
  { loss: 5.010198593139648, norm: 4.101853743050044, seed: 1001 },
];
const LEARNING_RATE = 1e-3;

/** Uniform numbers of a seed, (u − 0.5) · scale. */
function uniform(seed: number, count: number, scale: number): Float32Array {
  const values = new Float32Array(count);
  new TorchGenerator(seed).fill(values);
  return values.map((u) => (u - 0.5) * scale);
}

async function unconditionalOf(
  backend: Backend,
  values: Float32Array<ArrayBuffer>,
  shape: readonly number[] = [LENGTH, COLUMNS],
): Promise<UnconditionalEmbeddings & AsyncDisposable> {
  const bytes = new Uint8Array(values.buffer);
  const file = encodeSafetensors([["embeddings", { dtype: "F32", shape, bytes }]]);
  const [length, hidden_size] = shape;
  const config = { description: "config", values: { learnable: true, length, hidden_size } };
  const parameters = new TrainableParameters();
  const embeddings = await LearnedClassifierFreeSamplingEmbeddings.create(
    backend,
    config,
    await openSafetensors(memoryFile("embeddings", file)),
    { parameters },
  );
  return { embeddings, parameters, [Symbol.asyncDispose]: () => embeddings.dispose() };
}

/** A batch of the golden data. A caption of only start and end counts as dropped. */
function batchOf(golden: GoldenArrays, step: number): DiffusionBatch {
  const prefix = `step${step + 1}_`;
  const mask = golden.ids(`${prefix}condition_mask`);
  return {
    x0: golden.ids(`${prefix}x0`),
    xt: golden.ids(`${prefix}x_t`),
    encoderHiddenStates: uniform(STEPS[step]!.seed, BATCH * LENGTH * COLUMNS, 0.25),
    dropped: Array.from({ length: BATCH }, (_, i) => mask[i * LENGTH + 2] === 0),
    timesteps: golden.ids(`${prefix}t`),
    probabilities: Float64Array.from(golden.floats(`${prefix}pt`)),
  };
}

/** All arrays of parameters, or gradients by them, by name. */
async function arraysOf(
  found: readonly {
    parameter: TrainableParameters["tensors"][number];
    values: { data(): Promise<Float32Array> };
  }[],
): Promise<Map<string, Float32Array>> {
  const arrays = new Map<string, Float32Array>();
  for (const { parameter, values } of found) {
    const data = await values.data();
    let at = 0;
    for (const [name, shape] of parameter.arrays) {
      const size = shape.reduce((a, b) => a * b, 1);
      arrays.set(name === "embeddings" ? "empty_text_embed" : name, data.subarray(at, at += size));
    }
  }
  return arrays;
}

const MAKERS = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

for (const { name, ignore, make } of MAKERS) {
  Deno.test({
    name: `${name}: DiffusionLoss trains embeddings in place of dropped captions`,
    ignore,
    fn: async () => {
      await using backend = await make();
      const { transformer, parameters } = await goldenTransformer(backend, FOLDER);
      await using _transformer = transformer;
      await using unconditional = await unconditionalOf(
        backend,
        Float32Array.from(uniform(999, LENGTH * COLUMNS, 0.5)),
      );
      const sizes = { batch: BATCH, length: LENGTH, unconditional };
      const schedules = await goldenScheduler();
      using loss = new DiffusionLoss(transformer, parameters, schedules, sizes);
      const optimizer = new AdamW();
      const golden = new GoldenArrays("learnable_cf/batches");
      for (const [step, expected] of STEPS.entries()) {
        const result = await loss.compute(batchOf(golden, step));
        // After the first step entries with gradients near 0 go their own ways.
        const relative = step === 0 ? 1e-5 : 1e-3;
        assertClose([result.loss], [expected.loss], { absolute: 0, relative }, "loss");
        if (step === 0) await assertGradients(loss);
        const norm = await optimizer.step(loss.gradients, LEARNING_RATE);
        assertClose([norm], [expected.norm], { absolute: 0, relative: 10 * relative }, "norm");
      }
      await assertParameters([...parameters.tensors, ...unconditional.parameters.tensors]);
    },
  });
}

/** Fails unless the gradients are those of the golden data, to 1e-6 of the largest + 1e-5, as of other losses. */
async function assertGradients(loss: DiffusionLoss): Promise<void> {
  const golden = new GoldenArrays("learnable_cf/grad_1");
  const gradients = loss.gradients.map(({ parameter, gradient }) => ({
    parameter,
    values: gradient,
  }));
  const found = await arraysOf(gradients);
  assertEquals(new Set(found.keys()), new Set(golden.names()));
  for (const name of golden.names()) {
    const expected = golden.floats(name);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const absolute = name === "empty_text_embed" ? 1e-3 * largest : 1e-5;
    assertClose(found.get(name)!, expected, { absolute }, name);
  }
}

/** As `assertGoldenParameters`, for the names that are here. */
async function assertParameters(tensors: TrainableParameters["tensors"]): Promise<void> {
  const golden = new GoldenArrays("learnable_cf/after_2");
  const found = await arraysOf(
    tensors.map((parameter) => ({ parameter, values: parameter.tensor })),
  );
  const differences: number[] = [];
  for (const name of golden.names()) {
    // Of the embeddings the first rows are there.
    const expected = golden.numbers(name);
    expected.forEach((value, i) => differences.push(Math.abs(found.get(name)![i]! - value)));
  }
  differences.sort((a, b) => a - b);
  const median = differences[differences.length >> 1]!;
  assert(median <= 1e-7, `the median difference is ${median}`);
  const share = differences.filter((x) => x > 1e-5).length / differences.length;
  assert(share <= 0.01, `${share} differ by more than 1e-5`);
  assert(differences.at(-1)! <= 4 * LEARNING_RATE, `one differs by ${differences.at(-1)}`);
}

Deno.test("DiffusionLoss refuses dropped captions and embeddings that do not fit", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend, FOLDER);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  const sizes = { batch: BATCH, length: LENGTH };
  await using short = await unconditionalOf(backend, new Float32Array(5 * COLUMNS), [5, COLUMNS]);
  assertThrows(
    () => new DiffusionLoss(transformer, parameters, schedules, { ...sizes, unconditional: short }),
    RangeError,
    'the shape of unconditional is "(5, 512)", expected (77, 512)',
  );
  using loss = new DiffusionLoss(transformer, parameters, schedules, sizes);
  const batch = batchOf(new GoldenArrays("learnable_cf/batches"), 0);
  await assertRejects(() => loss.compute(batch), TypeError, "unconditional is undefined, expected");
  await assertRejects(
    () => loss.compute({ ...batch, dropped: [false] }),
    RangeError,
    "the length of dropped is 1, expected 4",
  );
});
