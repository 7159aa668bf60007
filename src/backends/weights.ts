/**
 * Weights of layers, in the memory of a device.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";

/**
 * Weight of a linear layer, packed as the device likes it: (outFeatures, inFeatures) and an optional
 * bias (outFeatures).
 */
export interface LinearWeight extends Disposable {
  /** Columns of the result. */
  readonly outFeatures: number;
  /** Columns of the argument. */
  readonly inFeatures: number;
  /** How it is held. */
  readonly dtype: WeightDType;
  /** Gives the memory back. */
  dispose(): void;
}

/** Weight of a 2-D convolution, packed as the device likes it. */
export interface ConvWeight extends Disposable {
  /** Channels of the result. */
  readonly outChannels: number;
  /** Channels of the argument. */
  readonly inChannels: number;
  /** Side of the square kernel: 1 or 3. */
  readonly kernelSize: number;
  /** Gives the memory back. */
  dispose(): void;
}
