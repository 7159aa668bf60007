/**
 * The WebGPU backend: all operations in WGSL, one submission a run.
 *
 * @module
 */

import type { WeightDType } from "../../base/dtypes.ts";
import type {
  Backend,
  ConvWeight,
  DataOf,
  DeviceInfo,
  DType,
  Frame,
  HeldMemory,
  HostArray,
  LinearWeight,
  MemoryUse,
  Tensor,
} from "../backend.ts";
import { elementCount } from "../../base/shapes.ts";
import { expectCount } from "../arguments.ts";
import { CheckedFrame } from "../checked_frame.ts";
import { expectArray, float32Values } from "../host_arrays.ts";
import { Device, type GpuStats } from "./device.ts";
import { EXACT_SUM_TERMS } from "./kernels/math.ts";
import { OPERATIONS } from "./kernels/operations.ts";
import { describeAdapter, isSoftwareAdapter, probeWebGpu, requestDevice } from "./probe.ts";
import { Recorder, type Tuning } from "./recorder.ts";
import { STORAGE_USAGE, WebGpuTensor } from "./tensor.ts";
import type { WebGpuDevice } from "./types.ts";
import { WebGpuConvWeight, WebGpuLinearWeight } from "./weights.ts";

/** Options of {@linkcode createWebGpuBackend}. */
export interface WebGpuOptions {
  /** Why this backend was chosen, for people. */
  readonly reason: string;
  /** Adapter to take a device from. Default: the one that {@linkcode probeWebGpu} finds. */
  readonly adapter?: GPUAdapter;
  /** Device to use; it stays the caller's, who destroys it. Default: one of the adapter. */
  readonly device?: GPUDevice;
  /** Whether an adapter that computes on the CPU will do. Default false. */
  readonly allowSoftware?: boolean;
  /** Most bytes that one binding may have, if less than the GPU allows. */
  readonly maxBindingBytes?: number;
  /** How kernels are cut. */
  readonly tuning?: Partial<Tuning>;
}

const CLASSES = {
  tensor: WebGpuTensor,
  linear: WebGpuLinearWeight,
  conv: WebGpuConvWeight,
  mostSummed: EXACT_SUM_TERMS,
};

const DEFAULT_TUNING: Tuning = {
  dispatchesPerSubmission: Infinity,
  attentionTile: { queries: 64, keys: 32 },
};

/** A backend of the WebGPU kind. */
export class WebGpuBackend implements Backend {
  /** Which GPU this is. */
  readonly device: DeviceInfo;
  readonly #device: Device;
  readonly #tuning: Tuning;

  /** Wraps a device; {@linkcode createWebGpuBackend} finds one. */
  constructor(device: Device, info: DeviceInfo, tuning: Partial<Tuning> = {}) {
    this.device = info;
    this.#device = device;
    this.#tuning = { ...DEFAULT_TUNING, ...tuning };
  }

  /** What was asked of the GPU so far, and what is held there. */
  get stats(): Readonly<GpuStats> {
    return { ...this.#device.stats };
  }

  tensor(data: Float32Array, shape: readonly number[]): Tensor;
  tensor(data: Int32Array, shape: readonly number[]): Tensor<"i32">;
  tensor(data: Float32Array | Int32Array, shape: readonly number[]): Tensor | Tensor<"i32"> {
    return data instanceof Float32Array
      ? this.#filled(data, shape, "f32")
      : this.#filled(data, shape, "i32");
  }

  upload(array: HostArray): Tensor {
    if (!this.#device.hollow) expectArray("upload an array", array);
    return this.tensor(float32Values(array), array.shape);
  }

  linearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype?: WeightDType,
  ): LinearWeight {
    this.#device.assertUsable();
    return this.#device.watched(
      "linearWeight",
      () => WebGpuLinearWeight.upload(this, this.#device, weights, biases, dtype),
    );
  }

  /** The copy to the GPU is made in parts by its driver. */
  loadLinearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype?: WeightDType,
  ): Promise<LinearWeight> {
    return new Promise((resolve) => resolve(this.linearWeight(weights, biases, dtype)));
  }

  convWeight(weight: HostArray, bias: HostArray): ConvWeight {
    this.#device.assertUsable();
    return this.#device.watched(
      "convWeight",
      () => WebGpuConvWeight.upload(this, this.#device, weight, bias),
    );
  }

  frame(): Frame {
    this.#device.assertUsable();
    const recorder = new Recorder(this, this.#device, this.#tuning);
    return new CheckedFrame<WebGpuDevice>(recorder, OPERATIONS, CLASSES);
  }

  memoryUse(): MemoryUse {
    const { bytes, buffers } = this.#device.stats;
    return { bytes, allocations: buffers };
  }

  memoryHeld(): HeldMemory {
    const { bytes, peakBytes } = this.#device.stats;
    return { bytes, peakBytes };
  }

  dispose(): Promise<void> {
    return this.#device.close();
  }

  /** Frees all memory and the device. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #filled<D extends DType>(data: DataOf<D>, shape: readonly number[], dtype: D): Tensor<D> {
    const { hollow } = this.#device;
    if (!hollow) expectCount("make a tensor", data.length, shape);
    this.#device.assertUsable();
    return this.#device.watched("tensor", () => {
      const buffer = this.#device.allocate(4 * elementCount(shape), STORAGE_USAGE, "tensor");
      const release = () => this.#device.free(buffer);
      const tensor = new WebGpuTensor(this, this.#device, buffer, shape, dtype, release);
      if (!hollow) tensor.write(data);
      return tensor;
    });
  }
}

/**
 * Makes a backend that runs on a GPU.
 *
 * @throws {Error} If there is no adapter, or only one that computes on the CPU and that was not asked for.
 *
 * @example
 * ```ts
 * await using backend = await createWebGpuBackend({ reason: "asked for" });
 * console.log(backend.device.name);
 * ```
 */
export async function createWebGpuBackend(options: WebGpuOptions): Promise<WebGpuBackend> {
  const { reason, allowSoftware = false, maxBindingBytes, tuning } = options;
  const adapter = options.device ? undefined : options.adapter ?? await findAdapter(allowSoftware);
  // Older browsers do not tell of which adapter a device is.
  const adapterInfo = adapter?.info ?? options.device?.adapterInfo ?? {};
  if (!allowSoftware && isSoftwareAdapter(adapterInfo)) {
    throw new Error(
      `Cannot use WebGPU: ${describeAdapter(adapterInfo)} computes on the CPU`,
    );
  }
  const gpu = options.device ?? await requestDevice(adapter!);
  const device = new Device(gpu, {
    owned: options.device === undefined,
    ...(maxBindingBytes !== undefined && { maxBindingBytes }),
  });
  const name = describeAdapter(adapterInfo);
  return new WebGpuBackend(device, { type: "webgpu", name, reason, threads: 1 }, tuning);
}

async function findAdapter(allowSoftware: boolean): Promise<GPUAdapter> {
  const { adapter, reason } = await probeWebGpu({ allowSoftware });
  if (adapter === undefined) throw new Error(`Cannot use WebGPU: ${reason}`);
  return adapter;
}
