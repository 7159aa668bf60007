/**
 * What a {@linkcode CheckedFrame} asks of its backend: memory and runs, and operations on arguments
 * that fit.
 *
 * @module
 */

import type { Device } from "./arguments.ts";
import type {
  Activation,
  AttentionOptions,
  Backend,
  ConvGradientOptions,
  ConvOptions,
  DType,
  GroupNormOptions,
  PosteriorOptions,
  PredictStartOptions,
  RunOptions,
  SampleStepOptions,
  Tensor,
} from "./backend.ts";
import type { FrameLife } from "./frame_life.ts";
import type { DiffusionLossTargets } from "./backend.ts";

/** Memory of the tensors of a frame, and the list of what it runs. */
export interface FrameRecorder<D extends Device> {
  /** Backend of the frame. */
  readonly backend: Backend;
  /** How long the frame and its tensors live. */
  readonly life: FrameLife;
  /**
   * Calls what records an operation.
   *
   * @throws {ReferenceError} If the frame or its backend was disposed of.
   */
  operation<T>(name: string, record: () => T): T;
  /** Memory of its own, that keeps what is written to it. */
  input<T extends DType>(shape: readonly number[], dtype: T): Tensor<T>;
  /** Memory of a result, which serves later operations once its scope has closed. */
  result(shape: readonly number[]): D["floats"];
  /** Memory of a result that holds ids. */
  result(shape: readonly number[], dtype: "i32"): D["ints"];
  /** Memory that outlives the frame. */
  kept<T extends DType>(shape: readonly number[], dtype: T): Tensor<T>;
  /** Memory of a linear layer's weight in float32, which goes with its scope. */
  packed(outFeatures: number, inFeatures: number): D["linear"];
  /** Memory of a convolution's weight, which goes with its scope. */
  packedConv(outChannels: number, inChannels: number, kernelSize: number): D["conv"];
  /** The memory of a tensor in another shape. */
  view(x: D["floats"], shape: readonly number[]): D["floats"];
  /** Runs what was recorded. */
  run(options?: RunOptions): Promise<void>;
  /** Gives all memory back, after the runs submitted before. */
  dispose(): void;
}

/** The types of a backend's tensors. */
export interface OwnTensors {
  /** Of floats. */
  readonly floats: unknown;
  /** Of ids or indices. */
  readonly ints: unknown;
}

/** Options of an operation with tensors of the backend's own. */
export type Checked<Options, D extends OwnTensors> = {
  readonly [K in keyof Options]: Options[K] extends Tensor ? D["floats"]
    : Options[K] extends Tensor<"i32"> ? D["ints"]
    : Options[K];
};

/** How a linear layer's result is stored. */
export interface Epilogue {
  /** Applied after the bias; `"none"` if it is added. */
  readonly activation: Activation;
  /** Whether it is added to what is there. */
  readonly add: boolean;
}

/** Columns `offset …` of a tensor's rows. */
export interface CheckedColumns<D extends OwnTensors> {
  /** The tensor. */
  readonly tensor: D["floats"];
  /** First column. */
  readonly offset: number;
  /** Rows of each sequence. */
  readonly rows: number;
}

/** Arguments of an attention. */
export interface AttentionInputs<D extends OwnTensors> extends Required<AttentionOptions> {
  /** Queries. */
  readonly q: CheckedColumns<D>;
  /** Keys. */
  readonly k: CheckedColumns<D>;
  /** Values, as many as keys. */
  readonly v: CheckedColumns<D>;
}

/** How a convolution is done. */
export interface ConvGeometry extends Required<Omit<ConvOptions, "addTo">> {
  /** (batch, height, width, channels) of the result. */
  readonly shape: readonly number[];
  /** Whether it is added to what is there. */
  readonly add: boolean;
}

/** Arguments of `conv2dWeightGradient`. */
export interface ConvGradientInputs<D extends OwnTensors> extends Required<ConvGradientOptions> {
  /** What was convolved, (batch, height, width, inChannels). */
  readonly x: D["floats"];
  /** Gradient of the result, (batch, outHeight, outWidth, outChannels). */
  readonly dy: D["floats"];
}

/** Arguments of `groupNorm` and its gradient. */
export interface GroupNormInputs<D extends OwnTensors>
  extends Required<Checked<GroupNormOptions, D>> {
  /** (batch, height, width, channels). */
  readonly x: D["floats"];
}

/** Arguments of `posterior`. */
export interface PosteriorInputs<D extends OwnTensors> extends Checked<PosteriorOptions, D> {
  /** (batch, pixels, classes − 1); of twice the batch with guidance. */
  readonly logProbs: D["floats"];
  /** (batch, pixels). */
  readonly latents: D["ints"];
  /** Number of images. */
  readonly batch: number;
  /** Latent pixels of an image. */
  readonly pixels: number;
  /** Number of classes, the mask included. */
  readonly classes: number;
  /** Last row of the schedule. */
  readonly lastRow: number;
}

/** Arguments of `sampleStep`. */
export type SampleStepInputs<D extends OwnTensors> =
  & PosteriorInputs<D>
  & Checked<Omit<SampleStepOptions, keyof PosteriorOptions | "latents">, D>;

/** Arguments of `predictStart`. */
export interface PredictStartInputs<D extends OwnTensors> extends PredictStartOptions {
  /** (batch, pixels, classes − 1); of twice the batch with guidance. */
  readonly logProbs: D["floats"];
}

/** Arguments of `sharpen`. */
export interface SharpenInputs<D extends OwnTensors> {
  /** (batch, pixels, classes − 1). */
  readonly logProbs: D["floats"];
  /** (batch, pixels). */
  readonly best: D["floats"];
  /** One element. */
  readonly weight: D["floats"];
}

/** Arguments of `layerNormGradient`. */
export interface LayerNormGradientInputs<D extends OwnTensors> {
  /** What was normalised. */
  readonly x: D["floats"];
  /** Gradient of the result. */
  readonly dy: D["floats"];
  /** (columns), or the table of an adaptive norm, (timesteps, 2 · columns). */
  readonly factors: D["floats"];
  /** Rows of the table, one for all rows of x or one for each sequence; undefined for a plain norm. */
  readonly timestep: D["ints"] | undefined;
  /** Added to the variance. */
  readonly eps: number;
}

/** Arguments of `diffusionLoss` and its gradient. */
export interface DiffusionLossInputs<D extends OwnTensors>
  extends Checked<DiffusionLossTargets, D> {
  /** (batch, pixels, classes − 1). */
  readonly logProbs: D["floats"];
  /** Number of images. */
  readonly batch: number;
  /** Latent pixels of an image. */
  readonly pixels: number;
  /** Number of classes, the mask included. */
  readonly classes: number;
  /** Last row of the schedule. */
  readonly lastRow: number;
}
