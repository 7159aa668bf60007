/**
 * A GPU device with what the backend has to know of it: memory in use, the order of its work, errors
 * that arrive late, and whether it was lost.
 *
 * @module
 */

import { DeviceLostError, disposedError } from "../errors.ts";
import { BUFFER_USAGE, MAP_READ } from "./flags.ts";
import { formatBytes } from "../../base/format.ts";
import type { Kernel } from "./kernels/kernel.ts";
import { type CompiledKernel, compileKernel } from "./pipelines.ts";

/** Counts of what a backend asked of its device so far, and of what it holds. */
export interface GpuStats {
  /** Command buffers submitted, those of readbacks included. */
  submissions: number;
  /** Copies from the GPU to the host. */
  readbacks: number;
  /** Buffers in use. */
  buffers: number;
  /** Bytes in use. */
  bytes: number;
  /** The most bytes that were in use. */
  peakBytes: number;
  /** Pipelines compiled. */
  pipelines: number;
}

/** Options of {@linkcode Device}. */
export interface DeviceOptions {
  /** Most bytes of a storage binding. Default: the device's limit. */
  readonly maxBindingBytes?: number;
  /** Whether `close` destroys the device. */
  readonly owned: boolean;
  /**
   * Whether nothing that is written stays. Then only the sizes of arrays count, which may come without
   * their elements. Default false.
   */
  readonly hollow?: boolean;
}

/**
 * How long the work may take that waits on the GPU, in milliseconds, and how many runs it may be: the
 * GPU must not idle, and must not lag far behind either, for an abort cannot take back what waits.
 */
const MAX_LAG = 100;
const MIN_RUNS_IN_FLIGHT = 2;
const MAX_RUNS_IN_FLIGHT = 16;

/** Uploads are handed over in portions of this size, so that their copies do not pile up. */
const UPLOAD_PORTION = 64 * 2 ** 20;

/** Wraps a `GPUDevice`. */
export class Device {
  /** The device. */
  readonly gpu: GPUDevice;
  /** What was asked of it so far. */
  readonly stats: GpuStats = {
    submissions: 0,
    readbacks: 0,
    buffers: 0,
    bytes: 0,
    peakBytes: 0,
    pipelines: 0,
  };
  /** Most bytes of a storage binding. */
  readonly maxBindingBytes: number;
  /** Whether only the sizes of arrays count, which may come without their elements. */
  readonly hollow: boolean;
  readonly #owned: boolean;
  readonly #buffers = new Set<GPUBuffer>();
  readonly #kernels = new Map<string, CompiledKernel>();
  readonly #waiters = new Set<(reason: Error) => void>();
  readonly #runs: Promise<unknown>[] = [];
  #checks: Promise<Error | undefined>[] = [];
  #last: Promise<void> | undefined;
  #lost: DeviceLostError | undefined;
  #closed = false;
  #uploaded = 0;
  /** Milliseconds of the last run, and when it ended. */
  #runTime = Infinity;
  #lastDone = 0;

  /** Wraps a device and watches for its loss. */
  constructor(gpu: GPUDevice, options: DeviceOptions) {
    this.gpu = gpu;
    this.#owned = options.owned;
    this.hollow = options.hollow ?? false;
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    this.maxBindingBytes = Math.min(options.maxBindingBytes ?? limit, limit);
    gpu.lost.then(({ reason, message }) => {
      if (this.#closed) return;
      this.#lost = new DeviceLostError(
        `The GPU was lost: ${message || reason || "its driver gave no reason"}`,
      );
      this.#waiters.forEach((reject) => reject(this.#lost!));
    });
  }

  /** Whether the backend was disposed of. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Throws if nothing can be asked of the device any more.
   *
   * @throws {DeviceLostError} If it was lost.
   * @throws {ReferenceError} If the backend was disposed of.
   */
  assertUsable(): void {
    if (this.#closed) throw disposedError("the backend");
    if (this.#lost !== undefined) throw this.#lost;
  }

  /**
   * Takes a buffer.
   *
   * @throws {RangeError} If the device allows no buffer of this size.
   */
  allocate(bytes: number, usage: GPUBufferUsageFlags, operation: string): GPUBuffer {
    this.assertUsable();
    const { maxBufferSize } = this.gpu.limits;
    if (bytes > maxBufferSize) {
      throw new RangeError(
        `Cannot take ${formatBytes(bytes)} of GPU memory for ${operation}: ` +
          `this GPU allows ${formatBytes(maxBufferSize)} in one buffer`,
      );
    }
    // Sizes of copies and of bound arrays of vectors are multiples of 16 bytes.
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const buffer = this.gpu.createBuffer({ label: operation, size, usage });
    this.#buffers.add(buffer);
    this.stats.buffers++;
    this.stats.bytes += size;
    this.stats.peakBytes = Math.max(this.stats.peakBytes, this.stats.bytes);
    return buffer;
  }

  /** Gives a buffer back, after the work that was asked for before. */
  free(buffer: GPUBuffer): void {
    if (!this.#buffers.delete(buffer)) return;
    this.stats.buffers--;
    this.stats.bytes -= buffer.size;
    this.inOrder(() => buffer.destroy());
  }

  /** Writes to a buffer, after the work that was asked for before. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    const { byteOffset, byteLength } = data;
    const source = data.buffer as ArrayBuffer;
    if (this.#last === undefined) {
      this.gpu.queue.writeBuffer(buffer, offset, source, byteOffset, byteLength);
    } else {
      const copy = source.slice(byteOffset, byteOffset + byteLength);
      this.inOrder(() => this.gpu.queue.writeBuffer(buffer, offset, copy));
    }
    this.#uploaded += byteLength;
    if (this.#uploaded < UPLOAD_PORTION) return;
    this.#uploaded = 0;
    this.inOrder(() => this.gpu.queue.submit([]));
  }

  /**
   * Does something after what was asked for before: at once if nothing is waiting. The result is a
   * promise if it had to wait or if `action` gives one.
   */
  inOrder(action: () => void | Promise<void>): void | Promise<void> {
    const result = this.#last === undefined ? action() : this.#last.then(action);
    if (!(result instanceof Promise)) return;
    const last = result.then(() => {}, () => {}).then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    this.#last = last;
    return result;
  }

  /** Submits commands and remembers that they are under way. */
  submit(commands: GPUCommandBuffer): void {
    const submitted = performance.now();
    this.gpu.queue.submit([commands]);
    this.stats.submissions++;
    const done = this.gpu.queue.onSubmittedWorkDone().then(() => {}, () => {}).then(() => {
      this.#runs.splice(this.#runs.indexOf(done), 1);
      const now = performance.now();
      this.#runTime = now - Math.max(submitted, this.#lastDone);
      this.#lastDone = now;
    });
    this.#runs.push(done);
  }

  /** Waits until only few of the runs submitted are left to do. */
  async throttle(signal?: AbortSignal): Promise<void> {
    const most = () =>
      Math.min(MAX_RUNS_IN_FLIGHT, Math.max(MIN_RUNS_IN_FLIGHT, MAX_LAG / this.#runTime));
    while (this.#runs.length > most()) await this.until(this.#runs[0]!, signal);
  }

  /** Reads the first bytes of a buffer, after the work that was asked for before. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    this.assertUsable();
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    const usage = BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDestination;
    const staging = this.allocate(size, usage, "readback");
    try {
      await this.inOrder(() => {
        const encoder = this.gpu.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
        this.submit(encoder.finish());
        this.stats.readbacks++;
      });
      await this.until(this.#mapped(staging));
      await this.check();
      // Of a device lost meanwhile the bytes mean nothing.
      this.assertUsable();
      return staging.getMappedRange(0, size).slice(0, bytes);
    } finally {
      this.free(staging);
    }
  }

  /** Waits for a promise, and no longer once the device is lost or the signal aborts. */
  until<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.assertUsable();
      signal?.throwIfAborted();
      const abort = () => reject(signal!.reason);
      this.#waiters.add(reject);
      signal?.addEventListener("abort", abort, { once: true });
      promise.then(resolve, reject).finally(() => {
        this.#waiters.delete(reject);
        signal?.removeEventListener("abort", abort);
      });
    });
  }

  /**
   * Does something and watches for errors of the GPU, which arrive later: as an error that names the
   * operation, given by the promise that is the second result.
   */
  watch<T>(operation: string, body: () => T): [T, Promise<Error | undefined>] {
    this.gpu.pushErrorScope("out-of-memory");
    this.gpu.pushErrorScope("validation");
    let result: T;
    try {
      result = body();
    } catch (error) {
      this.#popScopes(operation);
      throw error;
    }
    return [result, this.#popScopes(operation)];
  }

  /** Like {@linkcode watch}; the next run or readback fails with the error. */
  watched<T>(operation: string, body: () => T): T {
    const [result, failure] = this.watch(operation, body);
    this.#checks.push(failure);
    return result;
  }

  /** Throws the first error that arrived of what was watched. */
  async check(): Promise<void> {
    if (this.#checks.length === 0) return;
    const checks = this.#checks;
    this.#checks = [];
    const failures = await this.until(Promise.all(checks));
    const failure = failures.find((error) => error !== undefined);
    if (failure !== undefined) throw failure;
  }

  /** The compiled kernel, from the cache if there is one of this name. */
  kernel(kernel: Kernel): CompiledKernel {
    let compiled = this.#kernels.get(kernel.name);
    if (compiled === undefined) {
      compiled = compileKernel(this, kernel);
      this.#kernels.set(kernel.name, compiled);
      this.stats.pipelines++;
    }
    return compiled;
  }

  /** Frees all memory after the work asked for, and the device if it is the backend's own. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#last;
    if (this.#lost === undefined) {
      await this.until(Promise.all(this.#runs)).catch(() => {});
    }
    this.#closed = true;
    this.#buffers.forEach((buffer) => this.free(buffer));
    this.#waiters.forEach((reject) => reject(disposedError("the backend")));
    if (this.#owned) this.gpu.destroy();
  }

  async #mapped(staging: GPUBuffer): Promise<void> {
    try {
      await staging.mapAsync(MAP_READ);
    } catch (cause) {
      // A lost device fails to map first and is said to be lost a moment later.
      await new Promise((resolve) => setTimeout(resolve, 20));
      this.assertUsable();
      throw new Error("Cannot read back from the GPU", { cause });
    }
  }

  /** Closes the scopes of {@linkcode watch} at once and tells later what they caught. */
  async #popScopes(operation: string): Promise<Error | undefined> {
    // Scopes of a lost device may fail; that it was lost is told elsewhere.
    const [validation, memory] = await Promise.all([
      this.gpu.popErrorScope().catch(() => null),
      this.gpu.popErrorScope().catch(() => null),
    ]);
    const error = memory ?? validation;
    if (!error) return undefined;
    const what = memory ? "the GPU is out of memory" : "the GPU refused it";
    return new Error(`Cannot do ${operation}: ${what}: ${error.message.trim()}`, { cause: error });
  }
}
