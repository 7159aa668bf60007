/**
 * The optimiser that Microsoft trained with.
 *
 * @module
 */

import { checkNumber, refuseRange } from "../base/check.ts";
import {
  clipGradients,
  type ClippedGradients,
  type Optimizer,
  type OptimizerMemory,
  type ParameterGradient,
} from "./optimizer.ts";
import { readParameters } from "./read_ahead.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** Options of {@linkcode AdamW}; the defaults are those that Microsoft trained with. */
export interface AdamWOptions {
  /** Shares of the old in the moving averages of gradients and of their squares. Default 0.9 and 0.96. */
  readonly betas?: readonly [first: number, second: number] | undefined;
  /** Added to the root of the squares. Default 1e-8. */
  readonly eps?: number | undefined;
  /** Share of each parameter that a step takes away, times the learning rate. Default 0.045. */
  readonly weightDecay?: number | undefined;
  /** Norm that all gradients together are cut to. Default 0.5; Infinity does not cut. */
  readonly maxGradNorm?: number | undefined;
}

/** Moving averages of a parameter's gradients and of their squares. */
interface Moments extends OptimizerMemory {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch's `AdamW`, after
 * clipping by the norm of all gradients, as its `clip_grad_norm_`. Every parameter decays.
 *
 * It computes on the host, in an order that depends on nothing but the gradients.
 */
export class AdamW implements Optimizer {
  readonly #options: { readonly [K in keyof AdamWOptions]-?: NonNullable<AdamWOptions[K]> };
  readonly #moments = new Map<TrainableTensor, Moments>();
  #steps = 0;

  /**
   * Begins without a history.
   *
   * @throws {TypeError} If an option is not a number.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    { betas = [0.9, 0.96], eps = 1e-8, weightDecay = 4.5e-2, maxGradNorm = 0.5 }: AdamWOptions = {},
  ) {
    const subject = (name: string) => ({ task: "make AdamW", name });
    for (const beta of betas) {
      checkNumber(subject("betas"), beta, { min: 0, max: 1 });
      // Such an average keeps its first value, 0, and the update would be 0 / 0.
      if (beta === 1) refuseRange(subject("betas"), beta, "a number below 1");
    }
    checkNumber(subject("eps"), eps, { min: 0 });
    checkNumber(subject("weightDecay"), weightDecay, { min: 0 });
    if (maxGradNorm !== Infinity) checkNumber(subject("maxGradNorm"), maxGradNorm, { min: 0 });
    this.#options = { betas, eps, weightDecay, maxGradNorm };
  }

  /** How many steps were done. */
  get steps(): number {
    return this.#steps;
  }

  /** The moving averages of gradients, `first`, and of their squares, `second`. */
  get memory(): ReadonlyMap<TrainableTensor, OptimizerMemory> {
    return this.#moments;
  }

  /** Goes on from where another was. */
  restore(steps: number, memory: ReadonlyMap<TrainableTensor, OptimizerMemory>): void {
    this.#steps = steps;
    this.#moments.clear();
    for (const [parameter, { first, second }] of memory) {
      if (first && second) this.#moments.set(parameter, { first, second });
    }
  }

  /**
   * Changes parameters by their gradients.
   *
   * @param gradients Those of a `DiffusionLoss`, or a `GradientSum`.
   * @returns The norm of all gradients before it was cut.
   * @throws {RangeError} If the learning rate is negative, or the norm is not finite; then no
   *   parameter has been changed.
   */
  async step(gradients: readonly ParameterGradient[], learningRate: number): Promise<number> {
    checkNumber({ task: "step AdamW", name: "learningRate" }, learningRate, { min: 0 });
    const clipped = await clipGradients(gradients, this.#options.maxGradNorm);
    await this.apply(clipped, learningRate);
    return clipped.norm;
  }

  /** @ignore Does a step with gradients that are cut already. */
  async apply({ gradients, factor }: ClippedGradients, learningRate: number): Promise<void> {
    this.#steps++;
    for await (const [{ parameter, values }, data] of readParameters(gradients)) {
      this.#update(data, this.#momentsOf(parameter, data.length), values, factor, learningRate);
      parameter.tensor.write(data);
    }
  }

  #momentsOf(parameter: TrainableTensor, size: number): Moments {
    let moments = this.#moments.get(parameter);
    if (moments === undefined) {
      moments = { first: new Float32Array(size), second: new Float32Array(size) };
      this.#moments.set(parameter, moments);
    }
    return moments;
  }

  #update(
    values: Float32Array,
    { first, second }: Moments,
    gradient: Float32Array,
    factor: number,
    learningRate: number,
  ): void {
    const { betas: [beta1, beta2], eps, weightDecay } = this.#options;
    const kept = 1 - learningRate * weightDecay;
    const size = learningRate / (1 - beta1 ** this.#steps);
    const root = Math.sqrt(1 - beta2 ** this.#steps);
    for (let i = 0; i < values.length; i++) {
      const g = factor * gradient[i]!;
      const m = first[i] = beta1 * first[i]! + (1 - beta1) * g;
      const v = second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
      values[i] = kept * values[i]! - size * m / (Math.sqrt(v) / root + eps);
    }
  }
}
