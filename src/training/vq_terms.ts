/**
 * The terms of the loss of a VQ model, as operations.
 *
 * @module
 */

import type { BackwardStart } from "../autograd/backward.ts";
import type { TapeFrame } from "../autograd/tape_frame.ts";
import type { DistanceKind, Tensor } from "../backends/backend.ts";
import { elementCount } from "../base/shapes.ts";
import type { VQModel } from "../models/vq_model.ts";

/** What the terms count in the loss. */
export interface VQTermWeights {
  /** The distance of images. */
  readonly reconstruction: DistanceKind;
  /** Weight of mean (e − sg z)². */
  readonly codebookWeight: number;
  /** Weight of mean (sg e − z)². */
  readonly commitmentWeight: number;
}

/** Tensors of a recorded loss. */
export interface VQTerms {
  /** z (batch, height, width, vqEmbedDim), used up by the gradients. */
  readonly latents: Tensor;
  /** x̂ (batch, height, width, channels), used up by the gradients. */
  readonly decoded: Tensor;
  /** Indices of the nearest codes (batch, pixels). */
  readonly indices: Tensor<"i32">;
  /** |x̂ − x| or (x̂ − x)² of each element. */
  readonly reconstruction: Tensor;
  /** (e − z)² of each element. */
  readonly quantization: Tensor;
  /** The terms that have gradients, and what their elements count in the loss. */
  readonly starts: readonly BackwardStart[];
}

/** Records the terms for images x (batch, height, width, channels). */
export function recordVQTerms(
  tape: TapeFrame,
  model: VQModel,
  images: Tensor,
  { reconstruction, codebookWeight, commitmentWeight }: VQTermWeights,
): VQTerms {
  const latents = model.recordEncode(tape, images);
  const { codes, indices } = model.recordQuantize(tape, latents);
  const decoded = model.recordDecode(tape, tape.straightThrough(latents, codes));
  const difference = tape.distance(decoded, images, reconstruction);
  const commitment = tape.distance(latents, tape.detach(codes), "l2");
  const starts = [meanOf(tape, difference, 1), meanOf(tape, commitment, commitmentWeight)];
  if (codebookWeight > 0) {
    const toLatents = tape.distance(codes, tape.detach(latents), "l2");
    starts.push(meanOf(tape, toLatents, codebookWeight));
  }
  return {
    latents,
    decoded,
    indices,
    reconstruction: difference,
    quantization: commitment,
    starts,
  };
}

/** The mean of the elements, times a weight. */
export function meanOf(tape: TapeFrame, result: Tensor, weight: number): BackwardStart {
  const count = elementCount(result.shape);
  const gradient = tape.empty(result.shape, "f32");
  gradient.write(new Float32Array(count).fill(weight / count));
  return { result, gradient };
}
