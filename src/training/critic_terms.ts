/**
 * What a critic adds to the loss of a VQ model, as operations.
 *
 * @module
 */

import type { BackwardStart } from "../autograd/backward.ts";
import type { TapeFrame } from "../autograd/tape_frame.ts";
import type { Tensor } from "../backends/backend.ts";
import { elementCount } from "../base/shapes.ts";
import type { PatchCritic } from "./patch_critic.ts";
import { meanOf } from "./vq_terms.ts";

/** What a critic adds to a `VQLoss`. */
export interface VQCritic {
  /** It judges the reconstructions. */
  readonly critic: PatchCritic;
  /** What that counts in the loss. */
  readonly weight: number;
}

/** How much more the distance of features counts than that of scores. */
const FEATURES = 3;

/**
 * Records, for a critic D with features F_i, weight · (mean (D(x̂) − 1)² + 3 · mean_i mean |F_i(x̂) − F_i(x)|): least
 * squares (Mao et al., arXiv 1611.04076, equation 9) and the matching of features (Wang et al., arXiv 1711.11585,
 * equation 4). The critic's own parameters stay as they are.
 *
 * @param decoded x̂ (batch, height, width, channels), on the tape.
 * @param images x, in the same shape.
 */
export function recordCriticTerms(
  tape: TapeFrame,
  { critic, weight }: VQCritic,
  decoded: Tensor,
  images: Tensor,
): BackwardStart[] {
  critic.parameters.record(tape);
  const wanted = critic.record(tape.frame, images).features;
  const { scores, features } = critic.record(tape, decoded);
  const starts = [
    meanOf(tape, tape.distance(scores, constant(tape, scores.shape, 1), "l2"), weight),
  ];
  for (const [i, feature] of features.entries()) {
    const distance = tape.distance(feature, wanted[i]!, "l1");
    starts.push(meanOf(tape, distance, FEATURES * weight / features.length));
  }
  return starts;
}

/** A tensor with the same value everywhere. */
function constant(tape: TapeFrame, shape: readonly number[], value: number): Tensor {
  const tensor = tape.empty(shape, "f32");
  tensor.write(new Float32Array(elementCount(shape)).fill(value));
  return tensor;
}
