/**
 * Gradients of layer norms.
 *
 * @module
 */

import type { AdaLayerNormOptions, LayerNormOptions, Tensor } from "../../backends/backend.ts";
import { constantIds, idZero, type RecordGradients } from "../tape.ts";

/** y = normed(x) · weight + bias, by x, weight and bias. */
export function layerNormGradients(x: Tensor, options: LayerNormOptions): RecordGradients {
  return (frame, dy) => {
    const gradients = frame.layerNormGradient(x, dy, options);
    using affine = gradients.affine;
    using sums = frame.scatterAdd(affine, idZero(frame), 1);
    const table = frame.reshape(sums, [2, x.shape.at(-1)!]);
    const row = (index: number, { shape }: Tensor) =>
      frame.reshape(frame.embedding(constantIds(frame, [index]), table), shape);
    return [gradients.x, row(0, options.weight), row(1, options.bias)];
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
