// Golden data of training: losses and gradients of Microsoft's original for a small transformer.

import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { elementCount } from "../../src/base/shapes.ts";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { readConfig } from "../../src/checkpoints/config.ts";
import { openSafetensors, parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { memoryFile, memoryFolder } from "../../src/files/memory_folder.ts";
import { openFolder } from "../../src/checkpoints/folders.ts";
import { Transformer2DModel } from "../../src/models/transformer_2d.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import type { DiffusionBatch } from "../../src/training/diffusion_loss.ts";
import type { ParameterGradient } from "../../src/training/optimizer.ts";
import { TrainableParameters } from "../../src/training/trainable_parameters.ts";
import { assertClose } from "../backends/operations/trial.ts";

const FIXTURES = new URL("../fixtures/training/", import.meta.url);
const FOLDER = new URL("text/", FIXTURES);

/** Arrays of a file of golden data, by name. */
export class GoldenArrays {
  readonly #arrays: ReturnType<typeof parseSafetensors>;

  /** @param file Path below the golden data of training, such as `text/batch_main`. */
  constructor(file: string) {
    this.#arrays = parseSafetensors(Deno.readFileSync(new URL(`${file}.safetensors`, FIXTURES)));
  }

  names(): string[] {
    return [...this.#arrays.keys()];
  }

  floats(name: string): Float32Array {
    return this.#typed(name) as Float32Array;
  }

  ids(name: string): Int32Array {
    return this.#typed(name) as Int32Array;
  }

  /** Numbers of any type. */
  numbers(name: string): number[] {
    return Array.from(this.#typed(name) as ArrayLike<number>);
  }

  #typed(name: string) {
    const array = this.#arrays.get(name);
    if (array === undefined) throw new RangeError(`there is no array ${name}`);
    return typedArray(array);
  }
}

/** The batch of a file. */
export function goldenBatch(golden: GoldenArrays, prefix = ""): DiffusionBatch {
  return {
    x0: golden.ids(`${prefix}x0`),
    xt: golden.ids(`${prefix}x_t`),
    encoderHiddenStates: golden.floats(`${prefix}cond`),
    timesteps: golden.ids(`${prefix}t`),
    probabilities: Float64Array.from(golden.floats(`${prefix}pt`)),
  };
}

/** The transformer of a folder of golden data with parameters that can be trained. */
export async function goldenTransformer(
  backend: Backend,
  folder: URL = FOLDER,
): Promise<{ transformer: Transformer2DModel; parameters: TrainableParameters }> {
  const text = await Deno.readTextFile(new URL("config.json", folder));
  const config = await readConfig(memoryFolder({ "config.json": text }, "training"), "config.json");
  const bytes = await Deno.readFile(new URL("diffusion_pytorch_model.safetensors", folder));
  const weights = await openSafetensors(memoryFile("training", bytes));
  const parameters = new TrainableParameters();
  const transformer = await Transformer2DModel.create(backend, config, weights, { parameters });
  return { transformer, parameters };
}

/** The VQ model with parameters that can be trained. */
export async function goldenVQModel(
  backend: Backend,
): Promise<{ model: VQModel; parameters: TrainableParameters }> {
  const parameters = new TrainableParameters();
  const folder = await openFolder(new URL("vq/", FIXTURES));
  return { model: await VQModel.fromPretrained(folder, { backend, parameters }), parameters };
}

/**
 * Fails unless the gradients of all arrays of the golden data are those, to 1e-6 of the largest + 1e-5.
 *
 * @param prefix What the names of gradients begin with.
 */
export async function assertGoldenGradients(
  gradients: readonly ParameterGradient[],
  golden: GoldenArrays,
  prefix = "",
): Promise<void> {
  const found = new Map<string, Float32Array>();
  for (const { parameter, gradient } of gradients) {
    const data = await gradient.data();
    assertEquals(data.length, elementCount(parameter.tensor.shape));
    let at = 0;
    for (const [name, shape] of parameter.arrays) {
      const size = shape.reduce((a, b) => a * b, 1);
      found.set(prefix + name, data.subarray(at, at += size));
    }
  }
  const names = golden.names().filter((name) => name.startsWith(prefix));
  const largest = Math.max(...names.flatMap((name) => [...golden.floats(name)].map(Math.abs)));
  for (const name of names) {
    const gradient = found.get(name);
    assert(gradient, `no gradient of ${name}`);
    assertClose(gradient, golden.floats(name), { absolute: 1e-6 * largest + 1e-5 }, name);
  }
}

/** The scheduler, whose schedules the loss reads. */
export async function goldenScheduler(): Promise<VQDiffusionScheduler> {
  const text = await Deno.readTextFile(new URL("scheduler_config.json", FOLDER));
  return VQDiffusionScheduler.fromConfig(JSON.parse(text));
}

/**
 * Fails unless nearly all parameters are those of the original. Adam divides by the size of the gradient,
 * so that entries with gradients near 0 move by up to the learning rate in a direction that rounding
 * decides: of those 0.3 % differ by more than 1e-5 between the original in float32 and float64.
 */
export async function assertGoldenParameters(
  parameters: TrainableParameters,
  file: string,
  learningRates: readonly number[],
): Promise<void> {
  const golden = new GoldenArrays(`text/steps_${file}`);
  const differences: number[] = [];
  for (const { arrays, tensor } of parameters.tensors) {
    const expected = arrays.flatMap(([name]) => [...golden.floats(name)]);
    (await tensor.data()).forEach((x, i) => differences.push(Math.abs(x - expected[i]!)));
  }
  differences.sort((a, b) => a - b);
  const median = differences[differences.length >> 1]!;
  assert(median <= 1e-7, `${file}: the median difference is ${median}`);
  const share = differences.filter((x) => x > 1e-5).length / differences.length;
  assert(share <= 0.01, `${file}: ${share} differ by more than 1e-5`);
  const most = 2 * learningRates.reduce((sum, rate) => sum + rate, 0);
  assert(differences.at(-1)! <= most, `${file}: one differs by ${differences.at(-1)}`);
}
