/**
 * What backends are told and tell, but for what lies in their memory.
 *
 * @module
 */

import type { WeightDType } from "../base/dtypes.ts";

/** Element type of a `Tensor`: activations are `"f32"`, token ids and indices `"i32"`. */
export type DType = "f32" | "i32";

/** The typed array that holds the elements of a `Tensor`. */
export type DataOf<D extends DType> = D extends "f32" ? Float32Array : Int32Array;

/** Device that a `Backend` runs on. */
export type DeviceType = "wasm" | "webgpu";

/** Which device was chosen, and why. */
export interface DeviceInfo {
  /** Kind of device. */
  readonly type: DeviceType;
  /** What it is, for people: `"Wasm, relaxed SIMD, 2 threads"`, `"NVIDIA H100"`. */
  readonly name: string;
  /** Why this device was taken, for people: `"asked for"`, `"no WebGPU adapter"`. */
  readonly reason: string;
  /** Number of threads that compute; 1 on a GPU. */
  readonly threads: number;
}

/**
 * An array as a checkpoint holds it: float32 values, float16 or bfloat16 bits, or int8 values with
 * one float32 scale for each row (first dimension).
 */
export type HostArray =
  & { readonly shape: readonly number[] }
  & (
    | { readonly dtype: "f32"; readonly data: Float32Array }
    | { readonly dtype: "f16" | "bf16"; readonly data: Uint16Array }
    | { readonly dtype: "i8"; readonly data: Int8Array; readonly scale: Float32Array }
  );

/** What a linear layer's weight is made of. */
export type LinearWeightSources = [
  /** Each of shape (out, in) or (out, in, 1, 1). */
  weights: readonly HostArray[],
  /** None, or one for each matrix, of shape (out). */
  biases: readonly HostArray[],
  /** How to hold them. Default: `"q8"` if all are int8, `"fp16"` if all are float16, else `"fp32"`. */
  dtype?: WeightDType,
];

/** Elementwise function applied to the result of `Frame.linear`. */
export type Activation =
  | "none"
  /** x · sigmoid(1.702 x), as in CLIP and diffusers' `ApproximateGELU`. */
  | "quickGelu"
  /** x · sigmoid(x). */
  | "silu"
  /** x · Φ(x), by the error function. */
  | "gelu";

/** A difference of two numbers: its absolute value, `"l1"`, or its square, `"l2"`. */
export type DistanceKind = "l1" | "l2";

/**
 * Columns of a schedule table: float32 logarithms of the probabilities of a step to a row (α, β, γ) and
 * of all steps up to it (cumulative). Of the last row only the cumulative ones count: those of no noise.
 */
export const SCHEDULE_COLUMNS = [
  "logAt",
  "logBt",
  "logCt",
  "logCumprodAt",
  "logCumprodBt",
  "logCumprodCt",
] as const;

/** How the operations of a frame are computed. */
export interface FrameOptions {
  /**
   * Whether results in float32 have the same bits on every CPU and in every runtime: no multiplication is
   * fused with an addition, which not all can do, and which is faster where they can. A GPU computes as
   * always, and so does a frame with a layer whose weight is held as int8.
   */
  readonly portable?: boolean | undefined;
}

/** Options of `Frame.run`. */
export interface RunOptions {
  /** Stops the run between two operations. */
  readonly signal?: AbortSignal | undefined;
}

/** Memory that a backend holds at a moment. */
export interface MemoryUse {
  /** Bytes in use by tensors, weights and frames. */
  readonly bytes: number;
  /** Number of allocations in use. */
  readonly allocations: number;
}

/** Memory that a backend has taken from the system, whether it is in use or not. */
export interface HeldMemory {
  /**
   * Bytes now. On Wasm the whole linear memory, which never shrinks; on WebGPU all buffers. What a driver
   * or a worker needs for itself is not known.
   */
  readonly bytes: number;
  /** The most bytes until now. */
  readonly peakBytes: number;
}

/** Options of `Frame.attention`. */
export interface AttentionOptions {
  /** Number of sequences. */
  readonly batch: number;
  /** Number of heads. */
  readonly heads: number;
  /** Columns of one head. */
  readonly headDim: number;
  /** Factor on the scores, positive. */
  readonly scale: number;
  /** Whether a query sees only keys up to its own position; as many queries as keys. Default false. */
  readonly causal?: boolean;
}

/** How `Frame.conv2d` goes from pixel to pixel. */
export interface ConvSampling {
  /** 1 (padding keeps the size) or 2 (one row of zeros below, one column to the right). Default 1. */
  readonly stride?: 1 | 2;
  /** Doubles height and width by nearest neighbour before convolving. Default false. */
  readonly upsample?: boolean;
}

/** Options of `Frame.conv2dWeightGradient`. */
export interface ConvGradientOptions extends ConvSampling {
  /** Side of the square kernel. */
  readonly kernelSize: 1 | 3;
}
