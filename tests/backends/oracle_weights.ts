// Weights of the oracle: plain numbers, whose memory is only counted.

import type { WeightDType } from "../../src/base/dtypes.ts";
import type { Backend, ConvWeight, LinearWeight } from "../../src/backends/backend.ts";
import type { Convolution } from "./naive/convolution.ts";
import type { Linear } from "./naive/linear.ts";

/** Memory of a weight, which is only counted. */
class OracleWeight {
  disposed = false;

  constructor(readonly backend: Backend, readonly release: () => void) {}

  dispose(): void {
    this.disposed = true;
    this.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A weight of the oracle's linear layers: the widened values. */
export class OracleLinearWeight extends OracleWeight implements LinearWeight, Linear {
  constructor(
    backend: Backend,
    release: () => void,
    readonly weight: Float32Array,
    readonly bias: Float32Array,
    readonly inFeatures: number,
    readonly dtype: WeightDType,
  ) {
    super(backend, release);
  }

  get outFeatures(): number {
    return this.bias.length;
  }
}

/** A weight of the oracle's convolutions. */
export class OracleConvWeight extends OracleWeight implements ConvWeight, Convolution {
  constructor(
    backend: Backend,
    release: () => void,
    readonly weight: Float32Array,
    readonly bias: Float32Array,
    readonly inChannels: number,
    readonly kernelSize: number,
  ) {
    super(backend, release);
  }

  get outChannels(): number {
    return this.bias.length;
  }
}
