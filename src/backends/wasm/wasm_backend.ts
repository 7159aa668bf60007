/**
 * The CPU backend: SIMD kernels in WebAssembly, on as many threads as there are.
 *
 * @module
 */

import type { WeightDType } from "../../base/dtypes.ts";
import { COMMAND_BYTES } from "../../../wasm/commands.ts";
import type {
  DeviceInfo,
  DType,
  Frame,
  FrameOptions,
  HeldMemory,
  HostArray,
  MemoryUse,
  Tensor,
} from "../backend.ts";
import { atOnce, inTurns } from "../../base/pauses.ts";
import { checkInteger } from "../../base/check.ts";
import { elementCount } from "../../base/shapes.ts";
import { expectCount } from "../arguments.ts";
import { CheckedFrame } from "../checked_frame.ts";
import { disposedError } from "../errors.ts";
import { defaultDType, expectArray, float32Values } from "../host_arrays.ts";
import { Allocator, type Block } from "./allocator.ts";
import type { WasmHost } from "./host.ts";
import { InlineRunner } from "./inline_runner.ts";
import {
  type HostKernels,
  KernelHost,
  type KernelModule,
  kernelModules,
  scratchMeter,
  type SimdVariant,
} from "./kernels.ts";
import type { LinearMemory } from "./linear_memory.ts";
import * as gradients from "./gradients.ts";
import * as operations from "./operations.ts";
import { Recorder } from "./recorder.ts";
import {
  afterPreparing,
  CONTROL_BYTES,
  type Job,
  type Preparation,
  type Runner,
} from "./runner.ts";
import { type FloatTensor, type IntTensor, WasmTensor } from "./tensor.ts";
import { packLinearWeight, WasmConvWeight, WasmLinearWeight } from "./weights.ts";
import { WorkQueue } from "./work_queue.ts";

/** Options of {@linkcode createWasmBackend}. */
export interface WasmBackendOptions {
  /** Number of threads; 1 computes on the calling thread. Default: the number of processors, at most 16. */
  readonly threads?: number | undefined;
  /** Instruction set. Default: the best this engine accepts. */
  readonly simd?: SimdVariant | undefined;
  /** The kernels, compiled by the caller, where compiling from bytes is forbidden. */
  readonly module?: KernelModule | readonly KernelModule[] | undefined;
  /** Why this backend was taken, for `device.reason`. */
  readonly reason?: string | undefined;
}

const MOST_THREADS = 16;

/** Bytes of a backend's own memory: the control block, then a command whose needs are asked for. */
export const OWN_BYTES: number = CONTROL_BYTES + COMMAND_BYTES;

const KERNELS = { ...operations, ...gradients };

const CLASSES = { tensor: WasmTensor, linear: WasmLinearWeight, conv: WasmConvWeight };

/**
 * Makes a CPU backend.
 *
 * @throws {TypeError} If `threads` is no number.
 * @throws {RangeError} If it is no whole number from 1 on.
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  const asked = options.threads;
  checkInteger({ task: "create a backend", name: "threads" }, asked, { min: 1 });
  const { simd, module, portable = module } = await kernelModules(options.module, options.simd);
  const host = await KernelHost.create(module);
  const { memory, kernels } = host;
  const allocator = new Allocator(memory, kernels.HEAP_BASE.value);
  const control = allocator.allocate(OWN_BYTES).address;
  memory.clear(control, OWN_BYTES);
  const threads = asked ?? defaultThreads();
  const other = portable === module ? host : await KernelHost.create(portable, memory);
  let runner: Runner = new InlineRunner(kernels, other.kernels, control);
  let lack = "";
  if (threads > 1) {
    try {
      const { WorkerPool } = await import("./worker_pool.ts");
      const renew = () => host.renew();
      const modules = [module, portable] as const;
      const origin = { modules, memory: memory.memory, control, threads, renew };
      runner = await WorkerPool.start(origin);
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
  const scratchBytes = scratchMeter(host, control + CONTROL_BYTES);
  return new WasmBackend({ device, host, scratchBytes, allocator, runner });
}

/** Number of threads if none is asked for; 1 in runtimes that do not tell the number of processors. */
export function defaultThreads(): number {
  const navigator = globalThis.navigator as Navigator | undefined;
  return Math.min(navigator?.hardwareConcurrency ?? 1, MOST_THREADS);
}

/** What a Wasm backend is made of. */
export interface WasmParts {
  /** What it is. */
  readonly device: DeviceInfo;
  /** The kernels on the calling thread, and the memory. */
  readonly host: { readonly kernels: HostKernels; readonly memory: LinearMemory };
  /** Tells the bytes of scratch memory that each thread needs for a command. */
  readonly scratchBytes: (command: Uint8Array) => number;
  /** Hands out the memory; the first block is the backend's own. */
  readonly allocator: Allocator;
  /** Runs programs. */
  readonly runner: Runner;
}

/** Parts that keep the memory alive. */
type HeldParts = Pick<WasmParts, "host" | "scratchBytes" | "runner">;

/** The CPU backend. Made by {@linkcode createWasmBackend}. */
export class WasmBackend implements WasmHost {
  readonly device: DeviceInfo;
  readonly memoryLimit: number;
  /** Hands out the memory. */
  readonly allocator: Allocator;
  /** What keeps the memory alive; undefined once disposed of, as the backend may still be referenced. */
  #held: HeldParts | undefined;
  readonly #queue = new WorkQueue();
  #scratch: Block | undefined;
  #disposal: Promise<void> | undefined;

  /** Use {@linkcode createWasmBackend}. */
  constructor({ device, host, scratchBytes, allocator, runner }: WasmParts) {
    this.device = device;
    this.memoryLimit = host.memory.limit;
    this.allocator = allocator;
    this.#held = { host, scratchBytes, runner };
  }

  /** The kernels on the calling thread. */
  get kernels(): HostKernels {
    return this.#parts.host.kernels;
  }

  /** Tells the bytes of scratch memory that each thread needs for a command. */
  get scratchBytes(): (command: Uint8Array) => number {
    return this.#parts.scratchBytes;
  }

  /** The memory. */
  get memory(): LinearMemory {
    return this.#parts.host.memory;
  }

  get #parts(): HeldParts {
    if (this.#held === undefined) throw disposedError("the backend");
    return this.#held;
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
    this.#queue.defer(() => this.allocator.release(block), { always: true });
  }

  /** Runs a program after all that was submitted before; false if it was aborted. */
  run(
    job: Omit<Job, "scratch">,
    preparations: readonly Preparation[] = [],
    signal?: AbortSignal,
  ): Promise<boolean> {
    this.#expectAlive();
    const start = () => {
      const scratchBytes = Allocator.room(job.scratchBytes);
      const { runner } = this.#parts;
      const scratch = this.#reserveScratch(scratchBytes * runner.threads);
      return runner.start({ ...job, scratch, scratchBytes }, signal);
    };
    return this.#queue.run(() => afterPreparing(preparations, start, signal));
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
    if (!this.memory.hollow) expectCount("make a tensor", data.length, shape);
    const dtype = data instanceof Int32Array ? "i32" : "f32";
    const block = this.allocator.allocate(4 * elementCount(shape));
    this.memory.write(block.address, data);
    return new WasmTensor<DType>(this, shape, dtype, block.address, () => this.release(block));
  }

  upload(array: HostArray): FloatTensor {
    if (!this.memory.hollow) expectArray("upload an array", array);
    return this.tensor(float32Values(array), array.shape);
  }

  linearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): WasmLinearWeight {
    this.#expectAlive();
    return atOnce(packLinearWeight(this, weights, biases, dtype));
  }

  async loadLinearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): Promise<WasmLinearWeight> {
    this.#expectAlive();
    return await inTurns(packLinearWeight(this, weights, biases, dtype));
  }

  convWeight(weight: HostArray, bias: HostArray): WasmConvWeight {
    this.#expectAlive();
    return WasmConvWeight.pack(this, weight, bias);
  }

  frame({ portable = false }: FrameOptions = {}): Frame {
    this.#expectAlive();
    const recorder = new Recorder(this, portable);
    return new CheckedFrame<operations.WasmDevice>(recorder, KERNELS, CLASSES);
  }

  memoryUse(): MemoryUse {
    const { bytes, allocations } = this.allocator.use;
    // The scratch memory of the threads and the first block are the backend's own.
    const own = Allocator.room(OWN_BYTES) + (this.#scratch?.bytes ?? 0);
    return {
      bytes: bytes - own,
      allocations: allocations - 1 - Number(this.#scratch !== undefined),
    };
  }

  memoryHeld(): HeldMemory {
    // It never shrinks.
    const bytes = this.#held?.host.memory.byteLength ?? 0;
    return { bytes, peakBytes: bytes };
  }

  dispose(): Promise<void> {
    return this.#disposal ??= this.#queue.end(() => {
      this.#parts.runner.dispose();
      this.#held = undefined;
      this.allocator.close();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #expectAlive(): void {
    if (this.#disposal) throw disposedError("the backend");
  }
}
