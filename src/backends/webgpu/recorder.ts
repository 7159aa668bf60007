/**
 * The list of dispatches of a frame: recorded once with their bind groups, submitted often.
 *
 * @module
 */

import type { Backend, DType, RunOptions } from "../backend.ts";
import { FrameLife } from "../frame_life.ts";
import { formatBytes } from "../../base/format.ts";
import { elementCount } from "../../base/shapes.ts";
import type { Device } from "./device.ts";
import { FrameMemory } from "./frame_memory.ts";
import type { Kernel, Workgroups } from "./kernels/kernel.ts";
import type { CompiledKernel } from "./pipelines.ts";
import { type BufferSlice, STORAGE_USAGE, WebGpuTensor } from "./tensor.ts";
import { Uniforms } from "./uniforms.ts";
import {
  filledChannels,
  type HeldMatrix,
  WebGpuConvWeight,
  WebGpuLinearWeight,
} from "./weights.ts";

/** How kernels are cut; what the bench sweeps. */
export interface Tuning {
  /** Largest number of dispatches in one submission; an abort takes effect between two. */
  readonly dispatchesPerSubmission: number;
  /** Tile of matrix products and convolutions. Default: chosen by the size of the result. */
  readonly matmulTile?: MatmulTile;
  /** Tile of attention. */
  readonly attentionTile: AttentionTile;
}

/** How a workgroup computes a tile of a matrix product. */
export interface MatmulTile {
  /** Rows of the result that a workgroup computes. */
  readonly rows: number;
  /** Columns of the result that a workgroup computes. */
  readonly columns: number;
  /** Terms of the sums that lie in workgroup memory at a time; a multiple of 4. */
  readonly depth: number;
  /** Rows that one thread computes. */
  readonly threadRows: number;
  /** Columns that one thread computes. */
  readonly threadColumns: number;
}

/** How a workgroup computes a tile of attention. */
export interface AttentionTile {
  /** Queries of a workgroup, a multiple of 4: each thread has four of them. */
  readonly queries: number;
  /** Keys at a time, a multiple of 4: each thread has four of them. */
  readonly keys: number;
}

interface Dispatch {
  readonly compiled: CompiledKernel;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
}

/** Records dispatches and runs them. */
export class Recorder {
  /** Backend of the frame. */
  readonly backend: Backend;
  /** Device of the backend. */
  readonly device: Device;
  /** How kernels are cut. */
  readonly tuning: Tuning;
  /** How long the frame and its tensors live. */
  readonly life: FrameLife = new FrameLife();
  readonly #memory: FrameMemory;
  readonly #uniforms: Uniforms;
  readonly #dispatches: Dispatch[] = [];
  /** Settled once what was recorded can run; the error if it cannot. */
  readonly #unprepared: Promise<Error | undefined>[] = [];
  #failure: Error | undefined;
  #operation = "frame";

  /** Begins with an empty list. */
  constructor(backend: Backend, device: Device, tuning: Tuning) {
    this.backend = backend;
    this.device = device;
    this.tuning = tuning;
    this.#memory = new FrameMemory(device);
    this.#uniforms = new Uniforms(device);
  }

  /** Records an operation: errors of what `record` does will name it. */
  operation<T>(name: string, record: () => T): T {
    this.life.assertAlive();
    this.device.assertUsable();
    this.#operation = name;
    const [result, failure] = this.device.watch(name, record);
    this.#unprepared.push(failure);
    return result;
  }

  /** Reserves memory of an input, that keeps its content from run to run. */
  input<D extends DType>(shape: readonly number[], dtype: D): WebGpuTensor<D> {
    return this.#tensor(shape, dtype, true);
  }

  /** Reserves memory of a result. */
  result<D extends DType = "f32">(
    shape: readonly number[],
    dtype: D = "f32" as D,
  ): WebGpuTensor<D> {
    return this.#tensor(shape, dtype, false);
  }

  /** Reserves memory that outlives the frame. */
  kept<D extends DType>(shape: readonly number[], dtype: D): WebGpuTensor<D> {
    const { backend, device, life } = this;
    const buffer = device.allocate(elementCount(shape) * 4, STORAGE_USAGE, this.#operation);
    const origin = { lastRun: life.lastRun };
    return life.keep(
      (release) => new WebGpuTensor(backend, device, buffer, shape, dtype, release, origin),
      () => device.free(buffer),
    );
  }

  /** Reserves memory of a linear layer's weight in float32. */
  packed(outFeatures: number, inFeatures: number): WebGpuLinearWeight {
    const held = this.#packedMatrix(outFeatures, Math.ceil(inFeatures / 4) * 4);
    return new WebGpuLinearWeight(this.backend, inFeatures, held);
  }

  /** Reserves memory of a convolution's weight. */
  packedConv(outChannels: number, inChannels: number, kernelSize: number): WebGpuConvWeight {
    const columns = kernelSize ** 2 * filledChannels(inChannels);
    const held = this.#packedMatrix(outChannels, columns);
    return new WebGpuConvWeight(this.backend, { inChannels, kernelSize }, held);
  }

  #packedMatrix(rows: number, columns: number): HeldMatrix {
    const values = this.result([rows, columns]);
    const bias = this.result([rows]);
    const memory = {
      get disposed() {
        return values.disposed;
      },
      dispose() {
        values.dispose();
        bias.dispose();
      },
    };
    const parts = [{ firstRow: 0, rows, values, scale: undefined }];
    return { matrix: { dtype: "fp32", rows, columns, parts, bias }, memory };
  }

  /** A tensor in another shape, which goes with its scope. */
  view<D extends DType>(tensor: WebGpuTensor<D>, shape: readonly number[]): WebGpuTensor<D> {
    const view = tensor.view(shape);
    this.life.scopes.own(view);
    return view;
  }

  /** Opens a scope of memory. */
  scope(): Disposable {
    return this.life.scopes.open();
  }

  /**
   * Records a dispatch.
   *
   * @param buffers What is bound to the kernel's inputs and outputs, by name.
   * @param params The kernel's parameters, by name.
   */
  dispatch(
    kernel: Kernel,
    buffers: Readonly<Record<string, BufferSlice | undefined>>,
    params: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void {
    if (workgroups.some((count) => count < 1)) return;
    const { gpu, maxBindingBytes } = this.device;
    const names = [...Object.keys(kernel.inputs), ...Object.keys(kernel.outputs)];
    const slices = names.map((name) => {
      const slice = buffers[name];
      if (slice === undefined) throw new TypeError(`Kernel ${kernel.name} needs "${name}"`);
      if (slice.bytes > maxBindingBytes) {
        throw new RangeError(
          `Cannot run ${this.#operation} on ${formatBytes(slice.bytes)} at once: ` +
            `this GPU allows ${formatBytes(maxBindingBytes)}`,
        );
      }
      return slice;
    });
    const limit = gpu.limits.maxComputeWorkgroupsPerDimension;
    if (workgroups.some((count) => count > limit)) {
      throw new RangeError(
        `Cannot run ${this.#operation} in ${workgroups.join(" × ")} workgroups: ` +
          `this GPU allows ${limit}`,
      );
    }
    slices.push(this.#uniforms.add(kernel, params));
    const compiled = this.device.kernel(kernel);
    if (compiled.pipeline === undefined) {
      this.#unprepared.push(compiled.ready.then(() => undefined, (error) => error));
    }
    const bindGroup = gpu.createBindGroup({
      label: this.#operation,
      layout: compiled.layout,
      entries: slices.map(({ buffer, offset = 0, bytes }, binding) => ({
        binding,
        // Bound arrays of vectors have to hold whole ones; buffers are that long.
        resource: { buffer, offset, size: Math.max(16, Math.ceil(bytes / 16) * 16) },
      })),
    });
    this.#dispatches.push({ compiled, bindGroup, workgroups });
  }

  /** Runs what was recorded. */
  run({ signal }: RunOptions = {}): Promise<void> {
    return this.life.run(() => this.#run(signal));
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    this.device.assertUsable();
    signal?.throwIfAborted();
    this.#uniforms.flush();
    // A copy: the frame may be disposed of or grow before its turn comes.
    const dispatches = [...this.#dispatches];
    await this.device.inOrder(() => {
      const prepared = this.#unprepared.length === 0 && this.#failure === undefined;
      if (prepared && dispatches.length <= this.tuning.dispatchesPerSubmission) {
        return this.#submit(dispatches);
      }
      return this.#submitPortions(dispatches, signal);
    });
    await this.device.throttle(signal);
    await this.device.check();
  }

  /** Gives all memory back, after the runs asked for. */
  dispose(): void {
    if (!this.life.dispose()) return;
    this.#memory.dispose();
    this.#uniforms.dispose();
  }

  async #submitPortions(dispatches: readonly Dispatch[], signal?: AbortSignal): Promise<void> {
    await this.#prepare(signal);
    const portion = this.tuning.dispatchesPerSubmission;
    for (let first = 0; first < dispatches.length; first += portion) {
      signal?.throwIfAborted();
      this.device.assertUsable();
      this.#submit(dispatches.slice(first, first + portion));
      await this.device.throttle(signal);
    }
  }

  /** Waits for pipelines and for errors of what was recorded. */
  async #prepare(signal?: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const waitedFor = [...this.#unprepared];
    const failures = await this.device.until(Promise.all(waitedFor), signal);
    this.#unprepared.splice(0, waitedFor.length);
    this.#failure = failures.find((error) => error !== undefined);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Encodes and submits dispatches. */
  #submit(dispatches: readonly Dispatch[]): void {
    if (dispatches.length === 0) return;
    this.device.watched("run", () => {
      const encoder = this.device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { compiled, bindGroup, workgroups } of dispatches) {
        pass.setPipeline(compiled.pipeline!);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
      }
      pass.end();
      this.device.submit(encoder.finish());
    });
  }

  #tensor<D extends DType>(shape: readonly number[], dtype: D, own: boolean): WebGpuTensor<D> {
    const bytes = elementCount(shape) * 4;
    const memory = this.#memory;
    const operation = this.#operation;
    const buffer = own ? memory.reserve(bytes, operation) : memory.take(bytes, operation);
    const giveBack = own ? () => {} : () => memory.giveBack(buffer);
    const { backend, device, life } = this;
    const origin = { lastRun: life.lastRun };
    const tensor = new WebGpuTensor(backend, device, buffer, shape, dtype, giveBack, origin);
    life.scopes.own(tensor);
    return tensor;
  }
}
