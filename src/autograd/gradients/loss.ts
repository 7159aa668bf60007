/**
 * Gradients of the terms of the diffusion loss.
 *
 * @module
 */

import type { Tensor } from "../../backends/backend.ts";
import type { DiffusionLossTargets } from "../../backends/backend.ts";
import type { RecordGradients } from "../tape.ts";

/** The terms, by log p(x_0). */
export function diffusionLossGradients(
  logProbs: Tensor,
  options: DiffusionLossTargets,
): RecordGradients {
  return (frame, dy) => [frame.diffusionLossGradient(logProbs, dy, options)];
}
