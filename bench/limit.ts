// What the arithmetic of one instruction set can give at most: loops that touch no memory, on as many
// threads as are measured.

import { main as asc } from "npm:assemblyscript@0.28.20/asc";
import type { WeightDType } from "../src/base/dtypes.ts";
import type { SimdVariant } from "../src/backends/wasm/kernels.ts";

/** Products and sums in a second, in billions. */
export type Limits = Readonly<Record<WeightDType, number>>;

/** An instruction, or the two that take its place. */
interface Instruction {
  /** Expression of the next value of the accumulator `sN`, of `a` and `b`. */
  readonly next: (accumulator: string) => string;
  /** Products and sums in it. */
  readonly operations: number;
}

const FLOAT32: Readonly<Record<SimdVariant, Instruction>> = {
  "relaxed-simd": { next: (s) => `f32x4.relaxed_madd(${s}, a, b)`, operations: 8 },
  "simd": { next: (s) => `f32x4.add(f32x4.mul(${s}, a), b)`, operations: 8 },
};
const INT8: Readonly<Record<SimdVariant, Instruction>> = {
  "relaxed-simd": {
    next: (s) => `i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, ${s})`,
    operations: 32,
  },
  "simd": { next: (s) => `i32x4.add(i32x4.dot_i16x8_s(a, b), ${s})`, operations: 16 },
};

/** Accumulators: enough to hide the latency, with `a` and `b` few enough for 16 registers. */
const ACCUMULATORS = 12;
/** Turns of the loop in a call: short, as an engine optimises a function between two calls. */
const TURNS = 1e5;
/** How long every thread computes in a round, in milliseconds: short, to find undisturbed moments. */
const DURATION = 40;
/** Rounds, of which the best counts. */
const ROUNDS = 25;

function source({ next }: Instruction): string {
  const names = Array.from({ length: ACCUMULATORS }, (_, i) => `s${i}`);
  return `
    export function run(turns: i32, x: f32, y: f32): f32 {
      const a = f32x4.splat(x), b = f32x4.splat(y);
      let ${names.map((name, i) => `${name} = f32x4.splat(x + ${i})`).join(", ")};
      for (let i = 0; i < turns; i++) {
        ${names.map((name) => `${name} = ${next(name)};`).join("\n")}
      }
      return f32x4.extract_lane(${names.reduce((sum, name) => `f32x4.add(${sum}, ${name})`)}, 0);
    }`;
}

async function compile(text: string): Promise<Uint8Array<ArrayBuffer>> {
  let wasm: Uint8Array<ArrayBuffer> | undefined;
  const flags = ["-O3", "--runtime", "stub", "--enable", "simd", "--enable", "relaxed-simd"];
  const { error, stderr } = await asc(["limit.ts", ...flags, "-o", "limit.wasm"], {
    readFile: (name: string) => name === "limit.ts" ? text : null,
    writeFile: (_: string, data: string | Uint8Array) => {
      if (typeof data !== "string") wasm = Uint8Array.from(data);
    },
    listFiles: () => [],
  });
  if (error || !wasm) throw new Error(`Cannot compile the loop of the limit: ${stderr}`);
  return wasm;
}

/** Body of a worker: at every message it computes for a while, and answers with turns in a millisecond. */
const WORKER = `
onmessage = ({ data: { module, turns, duration } }) => {
  const { run } = new WebAssembly.Instance(module, { env: { abort() {} } }).exports;
  onmessage = () => {
    const start = performance.now();
    let calls = 0, elapsed = 0;
    while (elapsed < duration) {
      run(turns, 0.5, 0.25);
      calls++;
      elapsed = performance.now() - start;
    }
    postMessage(calls * turns / elapsed);
  };
  postMessage("ready");
};`;

function answer<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
}

async function measure(instruction: Instruction, threads: number): Promise<number> {
  const module = await WebAssembly.compile(await compile(source(instruction)));
  const url = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
  const workers = Array.from({ length: threads }, () => new Worker(url, { type: "module" }));
  try {
    const ask = <T>(message: unknown): Promise<T[]> => {
      const answers = workers.map((worker) => answer<T>(worker));
      for (const worker of workers) worker.postMessage(message);
      return Promise.all(answers);
    };
    await ask({ module, turns: TURNS, duration: DURATION });
    let best = 0;
    // The first round does not count, as the loop is not optimised yet.
    for (let round = 0; round <= ROUNDS; round++) {
      const rates = await ask<number>({});
      if (round > 0) best = Math.max(best, rates.reduce((a, b) => a + b));
    }
    return best * ACCUMULATORS * instruction.operations / 1e6;
  } finally {
    for (const worker of workers) worker.terminate();
    URL.revokeObjectURL(url);
  }
}

/** Measures the limits of an instruction set on some threads. */
export async function measureLimits(simd: SimdVariant, threads: number): Promise<Limits> {
  const fp32 = await measure(FLOAT32[simd], threads);
  const q8 = await measure(INT8[simd], threads);
  // Half floats are widened: the arithmetic is float32's.
  return { fp32, fp16: fp32, q8 };
}
