/**
 * Gradients of normalisations.
 *
 * @module
 */

import type {
  AdaLayerNormOptions,
  Frame,
  GroupNormOptions,
  LayerNormOptions,
  NormGradients,
  Tensor,
} from "../../backends/backend.ts";
import { constantIds, type RecordGradients, sumRows } from "../tape.ts";

/** y = normed(x) · weight + bias, by x, weight and bias. */
export function layerNormGradients(x: Tensor, options: LayerNormOptions): RecordGradients {
  return (frame, dy) => joinAffine(frame, frame.layerNormGradient(x, dy, options));
}

/** y = normed(x) · (1 + scale) + shift, by x and by the table of scales and shifts. */
export function adaLayerNormGradients(x: Tensor, options: AdaLayerNormOptions): RecordGradients {
  return (frame, dy) => {
    const gradients = frame.layerNormGradient(x, dy, options);
    using affine = gradients.affine;
    const { table, timestep } = options;
    return [gradients.x, frame.scatterAdd(affine, timestep, table.shape[0]!)];
  };
}

/** y = normed(x) · weight + bias for each channel, by x, weight and bias. */
export function groupNormGradients(x: Tensor, options: GroupNormOptions): RecordGradients {
  return (frame, dy) => joinAffine(frame, frame.groupNormGradient(x, dy, options));
}

/** y = x / |x| for each row, by x. */
export function normalizeRowsGradients(x: Tensor): RecordGradients {
  return (frame, dy) => [frame.normalizeRowsGradient(x, dy)];
}

/** Gradients by x, and by factors and shifts that are the same for all rows or images. */
function joinAffine(frame: Frame, gradients: NormGradients): readonly Tensor[] {
  using affine = gradients.affine;
  using sums = sumRows(frame, affine);
  const table = frame.reshape(sums, [2, affine.shape.at(-1)! / 2]);
  const row = (index: number) => frame.embedding(constantIds(frame, [index]), table);
  return [gradients.x, row(0), row(1)];
}
