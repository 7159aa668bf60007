// Steps of training in a process of its own, so that its memory can be told; it does what `PeerProcess`
// says: training_child.ts <task folder> <images> <SIMD> <threads> [recompute]

import type { SimdVariant } from "../../src/backends/wasm/kernels.ts";
import { createBackend } from "../../src/backends/select.ts";
import { elementCount } from "../../src/base/shapes.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { AdamW } from "../../src/training/adamw.ts";
import { DiffusionLoss } from "../../src/training/diffusion_loss.ts";
import { ExponentialMovingAverage } from "../../src/training/ema.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { lines } from "../peers/lines.ts";
import { TaskFile } from "../peers/task_folder.ts";
import { SMALL, transformerConfig } from "../random_transformer.ts";
import { bestTime } from "../timing.ts";
import {
  CONTEXT,
  TRAINING,
  trainingBatch,
  trainingScheduler,
  trainingWeights,
} from "../training_task.ts";

const [folder, images, simd, threads, recompute] = Deno.args as [
  string,
  string,
  SimdVariant,
  string,
  string?,
];
const weights = trainingWeights();
const parameters = new TrainableParameters();
await using backend = await createBackend({ device: "wasm", simd, threads: Number(threads) });
await using model = await Transformer2DModel.create(backend, transformerConfig(SMALL), weights, {
  parameters,
});
const { length } = CONTEXT;
const { auxiliaryLossWeight, emaDecay, learningRate, comparedLearningRate } = TRAINING;
using loss = new DiffusionLoss(model, parameters, await trainingScheduler(), {
  batch: Number(images),
  length,
  auxiliaryLossWeight,
  recompute: recompute === "recompute",
});
const batch = trainingBatch(Number(images));
const optimizer = new AdamW(TRAINING);
const average = await ExponentialMovingAverage.start(parameters, { decay: emaDecay });

async function step(rate: number): Promise<void> {
  await loss.compute(batch);
  await optimizer.step(loss.gradients, rate);
  await average.update();
}

/** By how much a first step changes the averages, in the order of names. */
async function firstStep(): Promise<Float32Array<ArrayBuffer>> {
  const start = new Map<string, Float32Array>();
  for (const name of weights.names()) {
    start.set(name, (await weights.load(name)).data as Float32Array);
  }
  for (const { arrays, tensor } of parameters.tensors) {
    const values = arrays.flatMap(([name]) => [...start.get(name)!]);
    tensor.write(Float32Array.from(values));
  }
  optimizer.restore(0, new Map());
  for (const [{ tensor }, values] of average.averages) values.set(await tensor.data());
  await step(comparedLearningRate);
  const changes = new Map<string, Float32Array>();
  for (const [{ arrays }, values] of average.averages) {
    let next = 0;
    for (const [name, shape] of arrays) {
      const own = values.subarray(next, next += elementCount(shape));
      changes.set(name, own.map((value, i) => value - start.get(name)![i]!));
    }
  }
  return joined(weights.names().toSorted().map((name) => changes.get(name)!));
}

function joined(arrays: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const out = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let next = 0;
  for (const array of arrays) {
    out.set(array, next);
    next += array.length;
  }
  return out;
}

console.log("ready");
for await (const line of lines(Deno.stdin.readable)) {
  const [command, milliseconds] = line.split(" ");
  if (command === "turn") {
    console.log(await bestTime(() => step(learningRate), Number(milliseconds)));
  } else {
    await Deno.writeFile(
      `${folder}/${TaskFile.output}`,
      new Uint8Array((await firstStep()).buffer),
    );
    console.log("done");
  }
}
