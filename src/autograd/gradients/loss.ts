/**
 * Gradients of the terms of losses.
 *
 * @module
 */

import type { DiffusionLossTargets, DistanceKind, Tensor } from "../../backends/backend.ts";
import type { RecordGradients } from "../tape.ts";

/** The terms, by log p(x_0). */
export function diffusionLossGradients(
  logProbs: Tensor,
  options: DiffusionLossTargets,
): RecordGradients {
  return (frame, dy) => [frame.diffusionLossGradient(logProbs, dy, options)];
}

/** z = |x − y| or (x − y)², by both. */
export function distanceGradients(x: Tensor, y: Tensor, kind: DistanceKind): RecordGradients {
  return (frame, dz, [xWanted, yWanted]) => [
    xWanted ? frame.distanceGradient(x, y, dz, kind) : undefined,
    yWanted ? frame.distanceGradient(y, x, dz, kind) : undefined,
  ];
}
