// The optimiser Muon, against a naive restatement of its algorithm in float64.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { AdamW } from "../../src/training/adamw.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { isHiddenMatrix, Muon } from "../../src/training/muon.ts";
import { Orthogonalizer } from "../../src/training/orthogonalizer.ts";
import type { TrainableTensor } from "../../src/training/trainable_parameters.ts";
import { BACKENDS } from "../backends/backends.ts";
import { assertClose } from "../backends/operations/trial.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import {
  GoldenArrays,
  goldenBatch,
  goldenScheduler,
  goldenTransformer,
} from "./golden_training.ts";

type Matrix = readonly (readonly number[])[];

const SHAPES = [[7, 5], [5, 7], [16, 16], [1, 9], [24, 70]] as const;

const MAKERS = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

function randomValues(seed: number, count: number): Float32Array {
  const values = new Float32Array(count);
  new TorchGenerator(seed).fill(values);
  return values.map((u) => u - 0.5);
}

function rowsOf(values: ArrayLike<number>, columns: number): Matrix {
  return Array.from(
    { length: values.length / columns },
    (_, i) => Array.from({ length: columns }, (_, j) => values[i * columns + j]!),
  );
}

function product(a: Matrix, b: Matrix): Matrix {
  return a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)));
}

function transposed(a: Matrix): Matrix {
  return a[0]!.map((_, j) => a.map((row) => row[j]!));
}

/** The iteration as published: X ← a X + (b A + c A²) X with A = X Xᵀ, on the wider of X and Xᵀ. */
function newtonSchulz(values: ArrayLike<number>, columns: number): number[] {
  const given = rowsOf(values, columns);
  const isHigh = given.length > columns;
  const norm = Math.sqrt(given.flat().reduce((sum, x) => sum + x * x, 0)) + 1e-7;
  let x: Matrix = (isHigh ? transposed(given) : given).map((row) => row.map((y) => y / norm));
  for (let step = 0; step < 5; step++) {
    const gram = product(x, transposed(x));
    const square = product(gram, gram);
    const polynomial = gram.map((row, i) =>
      row.map((y, j) => -4.775 * y + 2.0315 * square[i]![j]!)
    );
    const change = product(polynomial, x);
    x = x.map((row, i) => row.map((y, j) => 3.4445 * y + change[i]![j]!));
  }
  return (isHigh ? transposed(x) : x).flat();
}

for (const { name, ignore, make } of MAKERS) {
  Deno.test({
    name: `${name}: Orthogonalizer.run() computes the iteration of Muon`,
    ignore,
    fn: async () => {
      await using backend = await make();
      {
        using orthogonalizer = new Orthogonalizer(backend, SHAPES);
        for (const seed of [1, 2]) {
          const given = SHAPES.map(([rows, columns], i) =>
            randomValues(10 * seed + i, rows * columns)
          );
          const copies = given.map((values) => values.slice());
          const found = await orthogonalizer.run(given);
          found.forEach((values, i) => {
            const expected = newtonSchulz(given[i]!, SHAPES[i]![1]);
            // Five steps multiply float32's rounding, 6e-8, by at most some hundreds where singular values are small.
            assertClose(values, expected, { absolute: 1e-4 }, `matrix ${SHAPES[i]}`);
          });
          assertEquals(given, copies);
        }
      }
      assertEquals(backend.memoryUse().bytes, 0);
    },
  });
}

Deno.test("Orthogonalizer.run() gives zeros for zeros", async () => {
  await using backend = await BACKENDS[1]!.make();
  using orthogonalizer = new Orthogonalizer(backend, [[4, 3]]);
  assertEquals(await orthogonalizer.run([new Float32Array(12)]), [new Float32Array(12)]);
});

/** Two matrices in one tensor, one of a layer inside of a network, and a bias. */
function parametersOf(backend: Backend) {
  const layer = "transformer_blocks.0";
  const make = (arrays: TrainableTensor["arrays"], seed: number): TrainableTensor => {
    const count = arrays.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b), 0);
    return { arrays, tensor: backend.tensor(randomValues(seed, count), [count]) };
  };
  return [
    make([[`${layer}.attn1.to_q.weight`, [4, 6]], [`${layer}.attn1.to_k.weight`, [4, 6]]], 1),
    make([[`${layer}.ff.net.2.weight`, [6, 3]]], 2),
    make([[`${layer}.ff.net.2.bias`, [6]]], 3),
  ];
}

Deno.test("Muon.step() takes orthogonal steps with matrices, and AdamW's with the rest", async () => {
  await using backend = await BACKENDS[1]!.make();
  const parameters = parametersOf(backend);
  const others = parametersOf(backend);
  const [momentum, weightDecay, learningRate] = [0.9, 0.1, 0.02];
  using muon = new Muon(backend, { momentum, weightDecay, maxGradNorm: 0.3 });
  const adamW = new AdamW({ weightDecay, maxGradNorm: 0.3 });
  const expected = await Promise.all(parameters.map(({ tensor }) => tensor.data()));
  const memories = expected.map((values) => new Float64Array(values.length));
  for (let step = 0; step < 3; step++) {
    const values = expected.map(({ length }, i) => randomValues(100 * step + i, length));
    const gradientsOf = (parameters: readonly TrainableTensor[]) =>
      parameters.map((parameter, i) => {
        return { parameter, gradient: { data: () => Promise.resolve(values[i]!.slice()) } };
      });
    const norm = await muon.step(gradientsOf(parameters), learningRate);
    assertEquals(await adamW.step(gradientsOf(others), learningRate), norm);
    assert(norm > 0.3, "the gradients are cut");
    for (const i of [0, 1]) {
      let at = 0;
      for (const [, [rows, columns]] of parameters[i]!.arrays) {
        const size = rows! * columns!;
        const direction = Array.from({ length: size }, (_, j) => {
          const g = values[i]![at + j]! * 0.3 / (norm + 1e-6);
          const m = memories[i]![at + j] = momentum * memories[i]![at + j]! + g;
          return g + momentum * m;
        });
        const length = 0.2 * Math.sqrt(Math.max(rows!, columns!));
        newtonSchulz(direction, columns!).forEach((change, j) => {
          const kept = (1 - learningRate * weightDecay) * expected[i]![at + j]!;
          expected[i]![at + j] = kept - learningRate * length * change;
        });
        at += size;
      }
    }
  }
  assertEquals(muon.steps, 3);
  for (const i of [0, 1]) {
    const found = await parameters[i]!.tensor.data();
    assertClose(found, expected[i]!, { absolute: 1e-5 }, `matrix ${i}`);
  }
  assertEquals(await parameters[2]!.tensor.data(), await others[2]!.tensor.data());
  for (const { tensor } of [...parameters, ...others]) tensor.dispose();
});

Deno.test("Muon refuses gradients that are not finite, and options that do not fit", async () => {
  await using backend = await BACKENDS[1]!.make();
  const [parameter, ...others] = parametersOf(backend);
  using muon = new Muon(backend);
  const before = await parameter!.tensor.data();
  const gradient = { data: () => Promise.resolve(new Float32Array(48).fill(NaN)) };
  const gradients = [{ parameter: parameter!, gradient }];
  await assertRejects(() => muon.step(gradients, 0.1), RangeError, "norm of the gradients is NaN");
  await assertRejects(() => muon.step(gradients, -1), RangeError, "learningRate is -1");
  assertEquals(await parameter!.tensor.data(), before);
  assertEquals(muon.steps, 0);
  assertThrows(() => new Muon(backend, { momentum: 2 }), RangeError, "momentum is 2");
  for (const { tensor } of [parameter!, ...others]) tensor.dispose();
});

Deno.test("isHiddenMatrix() knows matrices inside of transformer and text encoder", () => {
  const block = "transformer_blocks.3";
  const hidden = [
    `${block}.attn1.to_q.weight`,
    `${block}.ff.net.0.proj.weight`,
    `${block}.norm1.linear.weight`,
    "text_model.encoder.layers.0.self_attn.q_proj.weight",
  ];
  const others = [
    `${block}.norm1.emb.weight`,
    "latent_image_embedding.emb.weight",
    "text_model.embeddings.token_embedding.weight",
    "out.weight",
    "embeddings",
  ];
  assertEquals(hidden.map((name) => isHiddenMatrix(name, [8, 8])), hidden.map(() => true));
  assertEquals(others.map((name) => isHiddenMatrix(name, [8, 8])), others.map(() => false));
  assertEquals(isHiddenMatrix(`${block}.attn1.to_q.bias`, [8]), false);
});

Deno.test("Muon.step() lowers the loss of a batch", async () => {
  await using backend = await BACKENDS[1]!.make();
  const { transformer, parameters } = await goldenTransformer(backend);
  await using _transformer = transformer;
  const schedules = await goldenScheduler();
  using loss = new DiffusionLoss(transformer, parameters, schedules, { batch: 4, length: 5 });
  using optimizer = new Muon(backend);
  const batch = goldenBatch(new GoldenArrays("text/batch_main"));
  const losses = [];
  for (let i = 0; i < 30; i++) {
    losses.push((await loss.compute(batch)).loss);
    await optimizer.step(loss.gradients, 3e-3);
  }
  assert(losses.at(-1)! < 0.5 * losses[0]!, `${losses}`);
});
