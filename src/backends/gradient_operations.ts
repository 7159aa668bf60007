/**
 * What training asks of a device besides the operations of models: gradients of those that are not
 * made of others, sums, and weights packed on the device. `dy` is the gradient of an operation's result.
 *
 * @module
 */

import type {
  Activation,
  AdaLayerNormOptions,
  AttentionOptions,
  Columns,
  LayerNormOptions,
  LinearWeight,
  Tensor,
} from "./backend.ts";

/** Options of {@linkcode GradientOperations.pack}. */
export interface PackOptions {
  /** One bias for each column of the result. Default: none. */
  readonly bias?: Tensor;
  /** Whether `matrix` is Wᵀ. Default false. */
  readonly transpose?: boolean;
}

/** Result of {@linkcode GradientOperations.layerNormGradient}. */
export interface LayerNormGradients {
  /** Gradient by x. */
  readonly x: Tensor;
  /** (rows, 2 · columns): for each row the gradient by its factors, then that by its shifts. */
  readonly affine: Tensor;
}

/**
 * Result of {@linkcode GradientOperations.attentionGradient}: gradients by the tensors that hold queries,
 * keys and values. Where they lie in one tensor, so do their gradients.
 */
export interface AttentionGradients {
  /** By the tensor of the queries. */
  readonly q: Tensor;
  /** By the tensor of the keys. */
  readonly k: Tensor;
  /** By the tensor of the values. */
  readonly v: Tensor;
}

/** Options of {@linkcode GradientOperations.diffusionLoss}. */
export interface DiffusionLossOptions {
  /** The image (batch, pixels), ids 0 … classes − 2. */
  readonly x0: Tensor<"i32">;
  /** The same with noise (batch, pixels), ids 0 … classes − 1, the last being the mask. */
  readonly xt: Tensor<"i32">;
  /** (rows, 6): see `SCHEDULE_COLUMNS`. */
  readonly schedule: Tensor;
  /** (batch): for each image the row of `schedule` of its timestep. */
  readonly row: Tensor<"i32">;
}

/** The operations that training needs besides those of models. */
export interface GradientOperations {
  /** The weight (outFeatures, inFeatures) of a linear layer, in the memory of the frame, as float32. */
  pack(matrix: Tensor, options?: PackOptions): LinearWeight;
  /** x + y, of the same number of elements: the shape of x. */
  add(x: Tensor, y: Tensor): Tensor;
  /**
   * Sums of rows, the adjoint of `embedding`: (…ids, …, columns) → (rows, columns), row r of which is the
   * sum of all rows of x whose id is r. Where x has several rows for an id, they follow each other.
   */
  scatterAdd(x: Tensor, ids: Tensor<"i32">, rows: number): Tensor;
  /** activation(x), elementwise. */
  activate(x: Tensor, activation: Activation): Tensor;
  /** dy · activation′(x), elementwise. */
  activateGradient(x: Tensor, dy: Tensor, activation: Activation): Tensor;
  /** Gradient of `geglu` by x (rows, 2n), for dy (rows, n). */
  gegluGradient(x: Tensor, dy: Tensor): Tensor;
  /** Gradient of `logSoftmax`, by its result y: dy − exp(y) · Σ dy for each row. */
  logSoftmaxGradient(y: Tensor, dy: Tensor): Tensor;
  /** Gradients of `layerNorm` or `adaLayerNorm` by x, and for each row by factors and shifts. */
  layerNormGradient(
    x: Tensor,
    dy: Tensor,
    options: LayerNormOptions | AdaLayerNormOptions,
  ): LayerNormGradients;
  /**
   * Gradients of `attention`. Queries, keys and values have to fill the tensors that they lie in, without
   * sharing columns.
   */
  attentionGradient(
    q: Columns,
    k: Columns,
    v: Columns,
    dy: Tensor,
    options: AttentionOptions,
  ): AttentionGradients;
  /**
   * The terms of the diffusion loss for a prediction log p(x_0) (batch, pixels, classes − 1): (batch,
   * pixels, 3), of Gu et al. (arXiv 2111.14822), equations 9 and 12, as in Microsoft's `_train_loss`:
   *
   * 1. the divergence KL(q(x_{t−1} | x_t, x_0) ‖ p(x_{t−1} | x_t))
   * 2. −log p(x_{t−1} = x_0 | x_t), which counts in place of it at the first timestep
   * 3. −log p(x_0 | x_t), the auxiliary term
   *
   * All logarithms are clamped to −70 … 0.
   */
  diffusionLoss(logProbs: Tensor, options: DiffusionLossOptions): Tensor;
  /** Gradient of `diffusionLoss` by `logProbs`, for dy (batch, pixels, 3). */
  diffusionLossGradient(logProbs: Tensor, dy: Tensor, options: DiffusionLossOptions): Tensor;
}
