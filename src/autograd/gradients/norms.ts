/**
 * Gradients of layer norms.
 *
 * @module
 */

import type { AdaLayerNormOptions, LayerNormOptions, Tensor } from "../../backends/backend.ts";
import { constantIds, type RecordGradients, sumRows } from "../tape.ts";

/** y = normed(x) · weight + bias, by x, weight and bias. */
export function layerNormGradients(x: Tensor, options: LayerNormOptions): RecordGradients {
  return (frame, dy) => {
    const gradients = frame.layerNormGradient(x, dy, options);
    using affine = gradients.affine;
    using sums = sumRows(frame, affine);
    const table = frame.reshape(sums, [2, x.shape.at(-1)!]);
    const row = (index: number) => frame.embedding(constantIds(frame, [index]), table);
    return [gradients.x, row(0), row(1)];
  };
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
