/**
 * The loss that the image autoencoder is trained with, and its gradients.
 *
 * @module
 */

import { backward } from "../autograd/backward.ts";
import { TapeFrame } from "../autograd/tape_frame.ts";
import type { Frame, Tensor } from "../backends/backend.ts";
import { checkChoice, checkInteger, checkNumber, refuseRange } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import { channelsFirst, channelsLast } from "../models/image_layout.ts";
import type { VQModel } from "../models/vq_model.ts";
import { checkValues } from "./check_values.ts";
import { recordCriticTerms, type VQCritic } from "./critic_terms.ts";
import type { TensorGradient } from "./diffusion_loss.ts";
import type { TrainableParameters } from "./trainable_parameters.ts";
import { recordVQTerms, type VQTerms, type VQTermWeights } from "./vq_terms.ts";

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
  /** The reconstructions x̂ (batch, inChannels, height, width), not clamped. */
  readonly decoded: Float32Array;
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
  readonly gradients: readonly TensorGradient[];
  readonly #frame: Frame;
  readonly #images: Tensor;
  readonly #latents: Tensor;
  readonly #decoded: Tensor;
  readonly #terms: VQTerms;
  readonly #weights: VQTermWeights;

  /**
   * Records forward and backward pass.
   *
   * @param model A model made with `parameters`.
   * @param judge A critic, of whose scores there are gradients, too.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range, or the model's images have other channels when they
   *   are decoded.
   */
  constructor(
    model: VQModel,
    parameters: TrainableParameters,
    options: VQLossOptions,
    judge?: VQCritic,
  ) {
    const { batch, height, width, ...weights } = checkOptions(model, options);
    this.#weights = weights;
    this.#frame = model.backend.frame();
    try {
      const tape = new TapeFrame(this.#frame);
      parameters.record(tape);
      this.#images = tape.empty([batch, model.config.inChannels, height, width], "f32");
      const images = channelsLast(tape, this.#images);
      this.#terms = recordVQTerms(tape, model, images, weights);
      const { latents, decoded } = this.#terms;
      this.#latents = this.#frame.repeat(latents, 1);
      this.#decoded = channelsFirst(this.#frame, decoded);
      const judged = judge ? recordCriticTerms(tape, judge, decoded, images) : [];
      const starts = [...this.#terms.starts, ...judged];
      const { tensors } = parameters;
      const gradients = backward(tape, starts, tensors.map(({ tensor }) => tensor));
      this.gradients = tensors.flatMap((parameter, i) => {
        const gradient = gradients[i];
        return gradient ? [{ parameter, gradient }] : [];
      });
    } catch (error) {
      this.#frame.dispose();
      throw error;
    }
  }

  /**
   * Computes the loss of a batch and, into `gradients`, its gradients.
   *
   * @param images (batch, inChannels, height, width), values in −1…1.
   * @throws {TypeError} If `images` is missing.
   * @throws {RangeError} If `images` is not as long as it has to be, or has a value that is no number.
   */
  async compute(
    images: Float32Array,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<VQLossResult> {
    checkValues("compute VQLoss", "images", images, elementCount(this.#images.shape));
    this.#images.write(images);
    await this.#frame.run({ signal });
    const { indices, ...terms } = this.#terms;
    const [differences, distances, latents, decoded, nearest] = await Promise.all([
      terms.reconstruction.data(),
      terms.quantization.data(),
      this.#latents.data(),
      this.#decoded.data(),
      indices.data(),
    ]);
    const [reconstruction, quantization] = [mean(differences), mean(distances)];
    const { codebookWeight, commitmentWeight } = this.#weights;
    const loss = reconstruction + (codebookWeight + commitmentWeight) * quantization;
    return { loss, reconstruction, quantization, latents, decoded, indices: nearest };
  }

  /** Gives the memory back, that of the gradients too. */
  dispose(): void {
    this.#frame.dispose();
  }

  /** Gives the memory back, that of the gradients too. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Options with their defaults. */
type Settings = { readonly [K in keyof VQLossOptions]-?: NonNullable<VQLossOptions[K]> };

function checkOptions({ config, scaleFactor }: VQModel, options: VQLossOptions): Settings {
  const { batch, height, width, reconstruction = "l2" } = options;
  const { codebookWeight = 1, commitmentWeight = 0.25 } = options;
  const subject = (name: string) => ({ task: "make VQLoss", name });
  checkInteger(subject("batch"), batch, { min: 1 });
  for (const [name, side] of Object.entries({ height, width })) {
    checkInteger(subject(name), side, { min: scaleFactor });
    if (side % scaleFactor !== 0) refuseRange(subject(name), side, `a multiple of ${scaleFactor}`);
  }
  checkChoice(subject("reconstruction"), reconstruction, ["l1", "l2"]);
  checkNumber(subject("codebookWeight"), codebookWeight, { min: 0 });
  checkNumber(subject("commitmentWeight"), commitmentWeight, { min: 0 });
  const { inChannels, outChannels } = config;
  if (outChannels !== inChannels) {
    refuseRange(subject("the model's outChannels"), outChannels, `${inChannels} as inChannels`);
  }
  return { batch, height, width, reconstruction, codebookWeight, commitmentWeight };
}
