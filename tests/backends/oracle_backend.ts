// A backend that is slow and readable: what every other one is compared with.

import type {
  Backend,
  ConvWeight,
  DataOf,
  DeviceInfo,
  DType,
  Frame,
  HostArray,
  LinearWeight,
  MemoryUse,
  Tensor,
  WeightDType,
} from "../../src/backends/backend.ts";
import type { Convolution } from "./naive/convolution.ts";
import { defaultDType, hold, type Linear, widen } from "./naive/linear.ts";
import { OracleFrame } from "./oracle_frame.ts";
import { elements, OracleMemory, OracleTensor } from "./oracle_memory.ts";

/** Makes an oracle backend, as `createBackend` makes others. */
export function createOracle(): Promise<Backend> {
  return Promise.resolve(new OracleBackend());
}

/** A weight of the oracle: the widened values, and whether they were given back. */
export class OracleLinearWeight implements LinearWeight, Linear {
  constructor(
    readonly backend: Backend,
    readonly weight: Float32Array,
    readonly bias: Float32Array,
    readonly inFeatures: number,
    readonly dtype: WeightDType,
    readonly dispose: () => void,
  ) {}

  get outFeatures(): number {
    return this.bias.length;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A weight of the oracle's convolutions. */
export class OracleConvWeight implements ConvWeight, Convolution {
  constructor(
    readonly backend: Backend,
    readonly weight: Float32Array,
    readonly bias: Float32Array,
    readonly inChannels: number,
    readonly kernelSize: number,
    readonly dispose: () => void,
  ) {}

  get outChannels(): number {
    return this.bias.length;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

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
    if (data.length !== elements(shape)) {
      throw new RangeError(
        `Cannot make a tensor of shape [${shape.join(", ")}] of ${data.length} values`,
      );
    }
    return data instanceof Float32Array
      ? this.#filled(data, shape, "f32")
      : this.#filled(data, shape, "i32");
  }

  upload(array: HostArray): Tensor {
    return this.tensor(widen(array), array.shape);
  }

  linearWeight(
    weights: readonly HostArray[],
    biases: readonly HostArray[],
    dtype: WeightDType = defaultDType(weights),
  ): LinearWeight {
    const inFeatures = weights[0]?.shape[1] ?? 0;
    const trailing = (array: HostArray) => array.shape.slice(2).some((length) => length !== 1);
    if (
      weights.length === 0 ||
      weights.some((array) => array.shape[1] !== inFeatures || trailing(array))
    ) {
      throw new RangeError(
        `Cannot join linear weights of shapes ${weights.map(shapeText).join(", ")}`,
      );
    }
    if (
      biases.length > 0 &&
      (biases.length !== weights.length ||
        biases.some((bias, i) => elements(bias.shape) !== weights[i]!.shape[0]))
    ) {
      throw new RangeError(
        `Cannot use biases of shapes ${biases.map(shapeText).join(", ")} with linear weights ` +
          `of shapes ${weights.map(shapeText).join(", ")}`,
      );
    }
    const weight = weights.flatMap((array) => [...hold(widen(array), inFeatures, dtype)]);
    const bias = biases.length > 0
      ? biases.flatMap((array) => [...widen(array)])
      : Array.from({ length: weight.length / inFeatures }, () => 0);
    const width = { fp32: 4, fp16: 2, q8: 1 }[dtype];
    return new OracleLinearWeight(
      this,
      Float32Array.from(weight),
      Float32Array.from(bias),
      inFeatures,
      dtype,
      this.#memory.reserve(weight.length * width + bias.length * 4),
    );
  }

  convWeight(weight: HostArray, bias: HostArray): ConvWeight {
    const [outChannels, inChannels, size, width] = weight.shape;
    if (
      weight.shape.length !== 4 || size !== width || (size !== 1 && size !== 3) ||
      elements(bias.shape) !== outChannels
    ) {
      throw new RangeError(
        `Cannot use convolution weight ${shapeText(weight)} with bias ${shapeText(bias)}`,
      );
    }
    return new OracleConvWeight(
      this,
      widen(weight),
      widen(bias),
      inChannels!,
      size,
      this.#memory.reserve((elements(weight.shape) + outChannels) * 4),
    );
  }

  frame(): Frame {
    return new OracleFrame(this, this.#memory);
  }

  memoryUse(): MemoryUse {
    return { bytes: this.#memory.bytes, allocations: this.#memory.allocations };
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

function shapeText(array: HostArray): string {
  return `[${array.shape.join(", ")}]`;
}
