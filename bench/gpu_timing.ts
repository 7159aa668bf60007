// What the sections of the measurement of a GPU share: taking time, and lines of the table.

import type { Frame, Tensor } from "../src/backends/backend.ts";
import type { WebGpuBackend } from "../src/backends/webgpu/backend.ts";
import type { Tuning } from "../src/backends/webgpu/recorder.ts";
import type { TransformerSize } from "./random_transformer.ts";

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly milliseconds: number;
  /** Products and sums, counted separately. */
  readonly flops?: number;
}

/** What sections measure with. */
export interface GpuBench {
  readonly gpu: GPUDevice;
  readonly backend: WebGpuBackend;
  /** Makes another backend on the same device. */
  readonly tuned: (tuning: Partial<Tuning>) => Promise<WebGpuBackend>;
  readonly size: TransformerSize;
}

/** Shortest time that is believed, in milliseconds. */
export const ENOUGH = 300;

/** Milliseconds of one run; `result` is read to wait for the GPU, whose own time is taken off. */
export async function timeOf(frame: Frame, result: Tensor | Tensor<"i32">): Promise<number> {
  const wait = async () => {
    const start = performance.now();
    await result.data();
    return performance.now() - start;
  };
  await frame.run();
  await wait();
  const idle = Math.min(await wait(), await wait(), await wait());
  for (let runs = 1;; runs *= 2) {
    const start = performance.now();
    for (let i = 0; i < runs; i++) await frame.run();
    await result.data();
    const elapsed = performance.now() - start - idle;
    if (elapsed >= ENOUGH) return elapsed / runs;
  }
}
