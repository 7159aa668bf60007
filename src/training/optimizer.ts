/**
 * What optimisers have in common: gradients on the host, clipping, and what they remember.
 *
 * @module
 */

import type { Tensor } from "../backends/backend.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** A parameter and the gradient of the loss by it. */
export interface ParameterGradient {
  /** The parameter. */
  readonly parameter: TrainableTensor;
  /** Its gradient: in the memory of a `DiffusionLoss`, or the sum of several. */
  readonly gradient: Pick<Tensor, "data">;
}

/** What an optimiser remembers of a parameter, by name: arrays of as many elements. */
export type OptimizerMemory = Readonly<Record<string, Float32Array>>;

/** Changes parameters by their gradients. */
export interface Optimizer {
  /** How many steps were done. */
  readonly steps: number;
  /** What it remembers of each parameter; the arrays stay its own. */
  readonly memory: ReadonlyMap<TrainableTensor, OptimizerMemory>;
  /**
   * Changes parameters by their gradients.
   *
   * @returns The norm of all gradients before it was cut.
   * @throws {GradientNormError} If the norm is not finite; then no parameter has been changed.
   * @throws {RangeError} If the learning rate is negative, or the memory does not suffice.
   */
  step(gradients: readonly ParameterGradient[], learningRate: number): Promise<number>;
  /** Goes on from where another of the same kind was. */
  restore(steps: number, memory: ReadonlyMap<TrainableTensor, OptimizerMemory>): void;
}

/** The norm of gradients is not finite. */
export class GradientNormError extends RangeError {
  override readonly name = "GradientNormError";
}

/** A gradient on the host. */
export interface HostGradient {
  /** The parameter. */
  readonly parameter: TrainableTensor;
  /** The elements, before clipping. */
  readonly values: Float32Array;
}

/** Gradients on the host, and what clipping makes of them. */
export interface ClippedGradients {
  /** The gradients, before clipping. */
  readonly gradients: readonly HostGradient[];
  /** The norm of all together. */
  readonly norm: number;
  /** What to multiply them by. */
  readonly factor: number;
}

/**
 * Reads gradients, and finds the factor that cuts the norm of all together, as PyTorch's
 * `clip_grad_norm_`.
 *
 * @param maxNorm The greatest norm that is left as it is.
 * @throws {GradientNormError} If the norm is not finite.
 */
export async function clipGradients(
  gradients: readonly ParameterGradient[],
  maxNorm: number,
): Promise<ClippedGradients> {
  const read = await Promise.all(gradients.map(async ({ parameter, gradient }) => {
    return { parameter, values: await gradient.data() };
  }));
  const norm = Math.sqrt(read.reduce((sum, { values }) => sum + sumOfSquares(values), 0));
  if (!Number.isFinite(norm)) {
    throw new GradientNormError(
      `Cannot step the optimiser: the norm of the gradients is ${norm}, expected a finite number`,
    );
  }
  return { gradients: read, norm, factor: Math.min(1, maxNorm / (norm + 1e-6)) };
}

/** Σ x², in float64. */
export function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}
