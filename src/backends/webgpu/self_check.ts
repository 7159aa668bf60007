/**
 * A look at whether a GPU and its driver compute what they should, before anything depends on them.
 *
 * @module
 */

import type { Backend, Frame, HostArray, Tensor } from "../backend.ts";
import * as expected from "./self_check_results.ts";

/** Largest difference allowed; results are of the order of 1. */
const TOLERANCE = 2e-4;

/** The same where a backend may quantise activations too. */
const Q8_TOLERANCE = 0.05;

const verdicts = new Map<string, Promise<string | undefined>>();

/**
 * Runs small operations of every family and compares them with plain TypeScript. Takes well under a
 * second on a GPU; the verdict is kept for the process.
 *
 * @returns What is wrong, for people, or undefined if all is well.
 */
export function selfCheck(backend: Backend): Promise<string | undefined> {
  const key = `${backend.device.type} ${backend.device.name}`;
  let verdict = verdicts.get(key);
  if (verdict === undefined) {
    verdict = examine(backend);
    verdicts.set(key, verdict);
  }
  return verdict;
}

async function examine(backend: Backend): Promise<string | undefined> {
  using bench = new Bench(backend);
  try {
    const trials = TRIALS.map((trial) => trial(bench));
    await bench.frame.run();
    const results = await Promise.all(trials.map(({ actual }) => actual.data()));
    for (const [i, trial] of trials.entries()) {
      const wrong = firstDifference(results[i]!, trial);
      if (wrong !== undefined) return `${trial.name} is wrong on this device: ${wrong}`;
    }
    return undefined;
  } catch (error) {
    return `the self-check failed: ${(error as Error).message}`;
  }
}

interface Trial {
  readonly name: string;
  readonly actual: Tensor | Tensor<"i32">;
  /** What is expected. */
  readonly values: ArrayLike<number>;
  /** Elements that are compared: every `step`-th. Default 1. */
  readonly step?: number;
  readonly tolerance?: number;
}

/** Inputs of trials: numbers that float16 holds exactly, and tensors of them. */
class Bench implements Disposable {
  readonly frame: Frame;
  readonly #owned: Disposable[] = [];
  #state = 1;

  constructor(readonly backend: Backend) {
    this.frame = this.own(backend.frame());
  }

  own<T extends Disposable>(value: T): T {
    this.#owned.push(value);
    return value;
  }

  /** Multiples of 1/64 in −1 … 1, by a linear congruential generator. */
  numbers(length: number): Float32Array {
    return Float32Array.from({ length }, () => {
      this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
      return ((this.#state >>> 24) - 128) / 128 - ((this.#state >>> 24) % 2) / 128;
    });
  }

  tensor(values: Float32Array, ...shape: number[]): Tensor {
    return this.own(this.backend.tensor(values, shape));
  }

  ids(values: Int32Array, ...shape: number[]): Tensor<"i32"> {
    return this.own(this.backend.tensor(values, shape));
  }

  [Symbol.dispose](): void {
    this.#owned.toReversed().forEach((value) => value[Symbol.dispose]());
  }
}

function linearTrial(bench: Bench, dtype: "fp32" | "fp16" | "q8"): Trial {
  const [rows, inner, columns] = [37, 52, 70];
  const [x, w, b] = [rows * inner, columns * inner, columns].map((n) => bench.numbers(n));
  const scale = Float32Array.from({ length: columns }, (_, i) => 1 / (64 + i));
  const int8 = Int8Array.from(w!, (value) => value * 64);
  const weight: HostArray = dtype === "q8"
    ? { dtype: "i8", shape: [columns, inner], data: int8, scale }
    : { dtype: "f32", shape: [columns, inner], data: w! };
  const bias: HostArray = { dtype: "f32", shape: [columns], data: b! };
  const held = bench.own(bench.backend.linearWeight([weight], [bias], dtype));
  const widened = dtype === "q8"
    ? Float32Array.from(int8, (value, i) => value * scale[Math.floor(i / inner)]!)
    : w!;
  return {
    name: `linear ${dtype}`,
    actual: bench.frame.linear(bench.tensor(x!, rows, inner), held, { activation: "quickGelu" }),
    values: expected.linearQuickGelu(x!, widened, b!, inner),
    tolerance: dtype === "q8" ? Q8_TOLERANCE : TOLERANCE,
  };
}

/** Rows and columns for which the largest tiles are taken; they may fail where small ones do not. */
function largeLinearTrial(bench: Bench): Trial {
  const [rows, inner, columns, step] = [1536, 12, 1024, 1021];
  const [x, w] = [bench.numbers(rows * inner), bench.numbers(columns * inner)];
  const weight: HostArray = { dtype: "f32", shape: [columns, inner], data: w };
  const held = bench.own(bench.backend.linearWeight([weight], [], "fp32"));
  return {
    name: "linear of large tiles",
    actual: bench.frame.linear(bench.tensor(x, rows, inner), held),
    values: expected.someProducts(x, w, inner, step),
    step,
  };
}

function attentionTrial(bench: Bench): Trial {
  const [rows, heads, headDim] = [45, 2, 12];
  const joined = bench.numbers(rows * 3 * heads * headDim);
  const tensor = bench.tensor(joined, rows, 3 * heads * headDim);
  const [q, k, v] = [0, 1, 2].map((i) => ({ tensor, offset: i * heads * headDim }));
  const options = { batch: 1, heads, headDim, scale: 0.5, causal: true };
  return {
    name: "attention",
    actual: bench.frame.attention(q!, k!, v!, options),
    values: expected.causalAttention(joined, rows, heads, headDim, options.scale),
  };
}

function layerNormTrial(bench: Bench): Trial {
  const [rows, columns] = [3, 70];
  const [x, w, b] = [rows * columns, columns, columns].map((n) => bench.numbers(n));
  const [weight, bias] = [bench.tensor(w!, columns), bench.tensor(b!, columns)];
  return {
    name: "layerNorm",
    actual: bench.frame.layerNorm(bench.tensor(x!, rows, columns), { weight, bias, eps: 1e-5 }),
    values: expected.layerNorm(x!, w!, b!, 1e-5),
  };
}

function convolutionTrial(bench: Bench): Trial {
  const [height, width, channels, outChannels] = [5, 6, 8, 9];
  const x = bench.numbers(height * width * channels);
  const [w, b] = [outChannels * channels * 9, outChannels].map((n) => bench.numbers(n));
  const weight = bench.own(bench.backend.convWeight(
    { dtype: "f32", shape: [outChannels, channels, 3, 3], data: w! },
    { dtype: "f32", shape: [outChannels], data: b! },
  ));
  return {
    name: "conv2d",
    actual: bench.frame.conv2d(bench.tensor(x, 1, height, width, channels), weight),
    values: expected.convolution(x, w!, b!, height, width),
  };
}

function logSoftmaxTrial(bench: Bench): Trial {
  const [rows, columns] = [2, 300];
  const x = bench.numbers(rows * columns).map((value) => 8 * value);
  return {
    name: "logSoftmax",
    actual: bench.frame.logSoftmax(bench.tensor(x, rows, columns)),
    values: [0, 1].flatMap((row) => [
      ...expected.logSoftmax(x.subarray(row * columns, (row + 1) * columns)),
    ]),
  };
}

function sampleStepTrial(bench: Bench): Trial {
  const [pixels, classes] = [24, 40];
  const columns = classes - 1;
  const logProbs = Float32Array.from(
    Array.from(
      { length: 2 * pixels },
      () => [...expected.logSoftmax(bench.numbers(columns).map((value) => 6 * value))],
    ).flat(),
  );
  const latents = Int32Array.from({ length: pixels }, (_, i) => i % 3 === 0 ? i : columns);
  const noise = bench.numbers(classes * pixels).map((value) => (value + 1) / 2);
  // At t = 1 of 2: probabilities of both steps, then what the last row holds.
  const [a, c] = [[0.9, 0.6, 0.9, 0.5], [0.05, 0.3, 0.05, 0.4]];
  const schedule = Float32Array.from(
    [0, 1].flatMap((t) =>
      [a![t]!, (1 - a![t]! - c![t]!) / columns, c![t]!].concat([
        a![t + 2]!,
        (1 - a![t + 2]! - c![t + 2]!) / columns,
        c![t + 2]!,
      ]).map(Math.log)
    ).concat([0, 0, 0, 0, -1e9, -1e9]),
  );
  const tokens = bench.ids(latents, 1, pixels);
  const options = { guidanceScale: 3, truncationRate: 0.9 };
  bench.frame.sampleStep(bench.tensor(logProbs, 2, pixels, columns), {
    latents: tokens,
    noise: bench.tensor(noise, 1, classes, pixels),
    schedule: bench.tensor(schedule, 3, 6),
    row: bench.ids(Int32Array.of(1), 1),
    ...options,
  });
  return {
    name: "sampleStep",
    actual: tokens,
    values: expected.sampleStep(logProbs, latents, noise, schedule, options),
  };
}

const TRIALS: readonly ((bench: Bench) => Trial)[] = [
  (bench) => linearTrial(bench, "fp32"),
  (bench) => linearTrial(bench, "fp16"),
  (bench) => linearTrial(bench, "q8"),
  largeLinearTrial,
  attentionTrial,
  layerNormTrial,
  convolutionTrial,
  logSoftmaxTrial,
  sampleStepTrial,
];

function firstDifference(
  actual: ArrayLike<number>,
  { values, step = 1, tolerance = TOLERANCE }: Trial,
): string | undefined {
  for (let i = 0; i < values.length; i++) {
    const value = actual[i * step]!;
    // The negation catches NaN.
    if (!(Math.abs(value - values[i]!) <= tolerance)) {
      return `element ${i * step} is ${value}, expected ${values[i]}`;
    }
  }
  return undefined;
}
