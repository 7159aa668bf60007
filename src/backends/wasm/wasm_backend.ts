/**
 * The CPU backend: SIMD kernels in WebAssembly, on as many threads as there are.
 *
 * @module
 */

import type { WeightDType } from "../../base/dtypes.ts";
import type { DataOf, DeviceInfo, DType, Frame, HostArray, MemoryUse, Tensor } from "../backend.ts";
import { expectCount } from "../arguments.ts";
import { CheckedFrame } from "../checked_frame.ts";
import { disposedError } from "../errors.ts";
import { defaultDType, expectArray, float32Values } from "../host_arrays.ts";
import { Allocator, type Block } from "./allocator.ts";
import type { WasmHost } from "./host.ts";
import { InlineRunner } from "./inline_runner.ts";
import {
  compileKernels,
  createMemory,
  type GrowingMemory,
  instantiateKernels,
  type KernelModule,
  type Kernels,
  type SimdVariant,
} from "./kernels.ts";
import * as operations from "./operations.ts";
import { Recorder } from "./recorder.ts";
import { CONTROL_BYTES, type Job, type Runner } from "./runner.ts";
import { type FloatTensor, type IntTensor, WasmTensor } from "./tensor.ts";
import { WasmConvWeight, WasmLinearWeight } from "./weights.ts";
import { WorkerPool } from "./worker_pool.ts";
import { WorkQueue } from "./work_queue.ts";

/** Options of {@linkcode createWasmBackend}. */
export interface WasmBackendOptions {
  /** Number of threads; 1 computes on the calling thread. Default: the number of processors, at most 16. */
  readonly threads?: number | undefined;
  /** Instruction set. Default: the best this engine accepts. */
  readonly simd?: SimdVariant | undefined;
  /** The kernels, compiled by the caller, where compiling from bytes is forbidden. */
  readonly module?: KernelModule | undefined;
  /** Why this backend was taken, for `device.reason`. */
  readonly reason?: string | undefined;
}

const MOST_THREADS = 16;

const CLASSES = { tensor: WasmTensor, linear: WasmLinearWeight, conv: WasmConvWeight };

/**
 * Makes a CPU backend.
 *
 * @throws {RangeError} If `threads` is not a whole number from 1 on.
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  const asked = options.threads;
  if (asked !== undefined && !(Number.isInteger(asked) && asked >= 1)) {
    throw new RangeError(
      `Cannot create a backend: threads is a whole number from 1 on, got ${asked}`,
    );
  }
  const { simd, module } = options.module ?? await compileKernels(options.simd);
  const { memory, limit } = createMemory();
  const kernels = await instantiateKernels(module, memory);
  const allocator = new Allocator(memory, kernels.HEAP_BASE.value);
  const control = allocator.allocate(CONTROL_BYTES).address;
  new Uint8Array(memory.buffer, control, CONTROL_BYTES).fill(0);
  const threads = asked ?? Math.min(processors(), MOST_THREADS);
  let runner: Runner = new InlineRunner(kernels, control);
  let lack = "";
  if (threads > 1) {
    try {
      runner = await WorkerPool.start(module, memory, control, threads);
    } catch (error) {
      lack = `; no threads: ${error instanceof Error ? error.message : error}`;
    }
  }
  const count = runner.threads === 1 ? "1 thread" : `${runner.threads} threads`;
  const device: DeviceInfo = {
    type: "wasm",
    name: `Wasm, ${simd === "simd" ? "plain" : "relaxed"} SIMD, ${count}`,
    reason: (options.reason ?? "asked for") + lack,
    threads: runner.threads,
  };
  return new WasmBackend(device, kernels, { memory, limit }, allocator, runner);
}

/** The number of processors; 1 in runtimes that do not tell. */
function processors(): number {
  return (globalThis.navigator as Navigator | undefined)?.hardwareConcurrency ?? 1;
}

/** The CPU backend. Made by {@linkcode createWasmBackend}. */
export class WasmBackend implements WasmHost {
  readonly device: DeviceInfo;
  readonly memoryLimit: number;
  /** An instance of the kernels on the calling thread. */
  readonly kernels: Kernels;
  /** Hands out the memory. */
  readonly allocator: Allocator;
  readonly #memory: WebAssembly.Memory;
  readonly #runner: Runner;
  readonly #queue = new WorkQueue();
  #scratch: Block | undefined;
  #disposal: Promise<void> | undefined;

  /** Use {@linkcode createWasmBackend}. */
  constructor(
    device: DeviceInfo,
    kernels: Kernels,
    { memory, limit }: GrowingMemory,
    allocator: Allocator,
    runner: Runner,
  ) {
    this.device = device;
    this.kernels = kernels;
    this.allocator = allocator;
    this.#memory = memory;
    this.memoryLimit = limit;
    this.#runner = runner;
  }

  /** Whether nothing is submitted that has not ended. */
  get idle(): boolean {
    return this.#queue.idle;
  }

  /** Calls `work` after all that was submitted before, at once if that is nothing. */
  call<T>(work: () => T): Promise<T> {
    return this.#queue.call(work);
  }

  /** Like {@linkcode call}, for work that nobody waits for. */
  defer(work: () => void): void {
    this.#queue.defer(work);
  }

  /** Gives a block back once nothing submitted can use it any more. */
  release(block: Block): void {
    this.defer(() => this.allocator.release(block));
  }

  /** The elements at an address; valid until the memory grows. */
  view<D extends DType>(dtype: D, address: number, count: number): DataOf<D> {
    const { buffer } = this.#memory;
    return (dtype === "f32"
      ? new Float32Array(buffer, address, count)
      : new Int32Array(buffer, address, count)) as DataOf<D>;
  }

  /** The bytes at an address; valid until the memory grows. */
  bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address, count);
  }

  /** Runs a program after all that was submitted before; false if it was aborted. */
  run(
    job: Pick<Job, "program" | "count" | "scratchBytes">,
    signal?: AbortSignal,
  ): Promise<boolean> {
    this.#expectAlive();
    return this.#queue.run(() => {
      const scratchBytes = Allocator.room(job.scratchBytes);
      const scratch = this.#reserveScratch(scratchBytes * this.#runner.threads);
      return this.#runner.start({ ...job, scratch, scratchBytes }, signal);
    });
  }

  #reserveScratch(bytes: number): number {
    if (this.#scratch && this.#scratch.bytes < bytes) {
      this.allocator.release(this.#scratch);
      this.#scratch = undefined;
    }
    this.#scratch ??= this.allocator.allocate(bytes);
    return this.#scratch.address;
  }

  tensor(data: Float32Array, shape: readonly number[]): FloatTensor;
  tensor(data: Int32Array, shape: readonly number[]): IntTensor;
  tensor(data: Float32Array | Int32Array, shape: readonly number[]): Tensor<DType> {
    this.#expectAlive();
    expectCount("make a tensor", data.length, shape);
    const dtype = data instanceof Int32Array ? "i32" : "f32";
    const block = this.allocator.allocate(4 * data.length);
    this.view(dtype, block.address, data.length).set(data);
    return new WasmTensor<DType>(this, shape, dtype, block.address, () => this.release(block));
  }

  upload(array: HostArray): FloatTensor {
    expectArray("upload an array", array);
    return this.tensor(float32Values(array), array.shape);
  }

  linearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): WasmLinearWeight {
    this.#expectAlive();
    return new WasmLinearWeight(this, weights, biases, dtype);
  }

  convWeight(weight: HostArray, bias: HostArray): WasmConvWeight {
    this.#expectAlive();
    return new WasmConvWeight(this, weight, bias);
  }

  frame(): Frame {
    this.#expectAlive();
    return new CheckedFrame<operations.WasmDevice>(new Recorder(this), operations, CLASSES);
  }

  memoryUse(): MemoryUse {
    const { bytes, allocations } = this.allocator.use;
    // The scratch memory of the threads and the control block are the backend's own.
    const own = Allocator.room(CONTROL_BYTES) + (this.#scratch?.bytes ?? 0);
    return {
      bytes: bytes - own,
      allocations: allocations - 1 - Number(this.#scratch !== undefined),
    };
  }

  dispose(): Promise<void> {
    return this.#disposal ??= this.call(() => this.#runner.dispose());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #expectAlive(): void {
    if (this.#disposal) throw disposedError("the backend");
  }
}
