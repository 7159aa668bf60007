/**
 * The loss that the image autoencoder is trained with, and its gradients.
 *
 * @module
 */

import type { VQModel } from "../models/vq_model.ts";
import type { ParameterGradient } from "./diffusion_loss.ts";
import type { TrainableParameters } from "./trainable_parameters.ts";

/** Options of {@linkcode VQLoss}. */
export interface VQLossOptions {
  /** Images of a batch. */
  readonly batch: number;
  /** Height of the images in pixels, a multiple of the model's `scaleFactor`. */
  readonly height: number;
  /** Width of the images in pixels, a multiple of the model's `scaleFactor`. */
  readonly width: number;
  /** Mean of |x̂ − x| or of (x̂ − x)² over all elements. Default `"l2"`. */
  readonly reconstruction?: "l1" | "l2" | undefined;
  /**
   * Weight of mean (e − sg z)², which moves codes to latents. Default 1. With 0 the codebook has no
   * gradient: for an {@linkcode EmaCodebook}.
   */
  readonly codebookWeight?: number | undefined;
  /** Weight of mean (sg e − z)², which keeps latents near their codes. Default 0.25. */
  readonly commitmentWeight?: number | undefined;
}

/** Result of {@linkcode VQLoss.compute}. */
export interface VQLossResult {
  /** reconstruction + (codebookWeight + commitmentWeight) · quantization. */
  readonly loss: number;
  /** Mean of |x̂ − x| or (x̂ − x)². */
  readonly reconstruction: number;
  /** Mean of (e − z)². */
  readonly quantization: number;
  /** The latents z (batch · pixels, vqEmbedDim), a row for each token. */
  readonly latents: Float32Array;
  /** (batch, pixels): the indices of the codes e that are nearest to the latents. */
  readonly indices: Int32Array;
}

/**
 * The training loss of a VQ-VAE (van den Oord et al., arXiv 1711.00937, equation 3) and its gradients. The
 * decoder's go straight through the quantisation to the encoder.
 *
 * Forward and backward pass are recorded once, for batches of one size, and run for each batch.
 */
export class VQLoss implements Disposable {
  /** The gradients of the last batch; parameters that the loss does not depend on are left out. */
  readonly gradients: readonly ParameterGradient[];

  /**
   * Records forward and backward pass.
   *
   * @param model A model made with `parameters`.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(_model: VQModel, _parameters: TrainableParameters, _options: VQLossOptions) {
    this.gradients = [];
  }

  /**
   * Computes the loss of a batch and, into `gradients`, its gradients.
   *
   * @param images (batch, inChannels, height, width), values in −1…1.
   * @throws {TypeError} If `images` is missing.
   * @throws {RangeError} If `images` is not as long as it has to be, or has a value that is no number.
   */
  compute(
    _images: Float32Array,
    _options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<VQLossResult> {
    return Promise.reject(new TypeError("not there yet"));
  }

  /** Gives the memory back, that of the gradients too. */
  dispose(): void {}

  /** Gives the memory back, that of the gradients too. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
