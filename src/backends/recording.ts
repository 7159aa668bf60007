/**
 * What a {@linkcode CheckedFrame} hands to its backend: arguments that fit, and their sizes. `F` and
 * `I` are the backend's tensors of floats and of ids.
 *
 * @module
 */

import type {
  Activation,
  AttentionOptions,
  ConvOptions,
  PosteriorOptions,
  SampleStepOptions,
  Tensor,
} from "./backend.ts";

/** Options of an operation with tensors of the backend's own. */
export type Checked<Options, F, I> = {
  readonly [K in keyof Options]: Options[K] extends Tensor ? F
    : Options[K] extends Tensor<"i32"> ? I
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
export interface CheckedColumns<F> {
  /** The tensor. */
  readonly tensor: F;
  /** First column. */
  readonly offset: number;
  /** Rows of each sequence. */
  readonly rows: number;
}

/** Arguments of an attention. */
export interface AttentionInputs<F> extends Required<AttentionOptions> {
  /** Queries. */
  readonly q: CheckedColumns<F>;
  /** Keys. */
  readonly k: CheckedColumns<F>;
  /** Values, as many as keys. */
  readonly v: CheckedColumns<F>;
}

/** How a convolution is done. */
export interface ConvGeometry extends Required<Omit<ConvOptions, "addTo">> {
  /** (batch, height, width, channels) of the result. */
  readonly shape: readonly number[];
  /** Whether it is added to what is there. */
  readonly add: boolean;
}

/** Arguments of `posterior`. */
export interface PosteriorInputs<F, I> extends Checked<PosteriorOptions, F, I> {
  /** (batch, pixels, classes − 1); of twice the batch with guidance. */
  readonly logProbs: F;
  /** (batch, pixels). */
  readonly latents: I;
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
export type SampleStepInputs<F, I> =
  & PosteriorInputs<F, I>
  & Checked<Omit<SampleStepOptions, keyof PosteriorOptions | "latents">, F, I>;
