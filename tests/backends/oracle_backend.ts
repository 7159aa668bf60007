// A backend that is slow and readable: what every other one is compared with.

import type { WeightDType } from "../../src/base/dtypes.ts";
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
} from "../../src/backends/backend.ts";
import { CheckedFrame } from "../../src/backends/checked_frame.ts";
import { expectCount } from "../../src/backends/arguments.ts";
import {
  checkConvWeight,
  checkLinearWeight,
  defaultDType,
  expectArray,
} from "../../src/backends/host_arrays.ts";
import { hold, widen } from "./naive/linear.ts";
import { OracleMemory, OracleTensor } from "./oracle_memory.ts";
import { KERNELS, type OracleDevice, OracleRecorder } from "./oracle_recorder.ts";
import { OracleConvWeight, OracleLinearWeight } from "./oracle_weights.ts";

/** Makes an oracle backend, as `createBackend` makes others. */
export function createOracle(): Promise<Backend> {
  return Promise.resolve(new OracleBackend());
}

const CLASSES = { tensor: OracleTensor, linear: OracleLinearWeight, conv: OracleConvWeight };

class OracleBackend implements Backend {
  readonly device: DeviceInfo = {
    type: "wasm",
    name: "plain TypeScript",
    reason: "asked for",
    threads: 1,
  };
  readonly #memory = new OracleMemory();

  tensor(data: Float32Array, shape: readonly number[]): Tensor;
  tensor(data: Int32Array, shape: readonly number[]): Tensor<"i32">;
  tensor(data: Float32Array | Int32Array, shape: readonly number[]): Tensor | Tensor<"i32"> {
    expectCount("make a tensor", data.length, shape);
    return data instanceof Float32Array
      ? this.#filled(data, shape, "f32")
      : this.#filled(data, shape, "i32");
  }

  upload(array: HostArray): Tensor {
    expectArray("upload an array", array);
    return this.tensor(widen(array), array.shape);
  }

  loadLinearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype?: WeightDType,
  ): Promise<LinearWeight> {
    return Promise.try(() => this.linearWeight(weights, biases, dtype));
  }

  linearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): LinearWeight {
    const { inFeatures } = checkLinearWeight(weights, biases);
    const weight = weights.flatMap((array) => [...hold(widen(array), inFeatures, dtype)]);
    const bias = biases.length > 0
      ? biases.flatMap((array) => [...widen(array)])
      : Array.from({ length: weight.length / inFeatures }, () => 0);
    const width = { fp32: 4, fp16: 2, q8: 1 }[dtype];
    return new OracleLinearWeight(
      this,
      this.#memory.reserve(weight.length * width + bias.length * 4),
      Float32Array.from(weight),
      Float32Array.from(bias),
      inFeatures,
      dtype,
    );
  }

  convWeight(weight: HostArray, bias: HostArray): ConvWeight {
    const { outChannels, inChannels, kernelSize } = checkConvWeight(weight, bias);
    const bytes = 4 * (weight.data.length + outChannels);
    return new OracleConvWeight(
      this,
      this.#memory.reserve(bytes),
      widen(weight),
      widen(bias),
      inChannels,
      kernelSize,
    );
  }

  frame(): Frame {
    const recorder = new OracleRecorder(this, this.#memory);
    return new CheckedFrame<OracleDevice>(recorder, KERNELS, CLASSES);
  }

  memoryUse(): MemoryUse {
    return { bytes: this.#memory.bytes, allocations: this.#memory.allocations };
  }

  memoryHeld(): HeldMemory {
    return { bytes: this.#memory.bytes, peakBytes: this.#memory.bytes };
  }

  dispose(): Promise<void> {
    return this.#memory.submit(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #filled<D extends DType>(data: DataOf<D>, shape: readonly number[], dtype: D): Tensor<D> {
    const tensor = new OracleTensor(this, this.#memory, shape, dtype);
    tensor.values.set(data);
    return tensor;
  }
}
