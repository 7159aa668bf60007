/**
 * The optimiser that learns more per picture.
 *
 * @module
 */

import type { Backend } from "../backends/backend.ts";
import { checkFunction, checkNumber } from "../base/check.ts";
import { elementCount } from "../base/shapes.ts";
import { AdamW } from "./adamw.ts";
import {
  clipGradients,
  type ClippedGradients,
  type HostGradient,
  type Optimizer,
  type OptimizerMemory,
  type ParameterGradient,
} from "./optimizer.ts";
import { type MatrixShape, Orthogonalizer } from "./orthogonalizer.ts";
import { readParameters } from "./read_ahead.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** Options of {@linkcode Muon}. */
export interface MuonOptions {
  /** Share of the old in the moving sum of gradients. Default 0.95. */
  readonly momentum?: number | undefined;
  /** Share of each parameter that a step takes away, times the learning rate. Default 0.02. */
  readonly weightDecay?: number | undefined;
  /** Norm that all gradients together are cut to. Default 1; Infinity does not cut. */
  readonly maxGradNorm?: number | undefined;
  /** Which arrays are matrices inside the network. Default: {@linkcode isHiddenMatrix}. */
  readonly isHidden?: ((name: string, shape: readonly number[]) => boolean) | undefined;
}

/**
 * Whether an array is a matrix between two layers inside of a network, by the names of diffusers and
 * transformers: a weight of two dimensions, but no embedding and not that of the output layer.
 */
export function isHiddenMatrix(name: string, shape: readonly number[]): boolean {
  return shape.length === 2 && /(^|\.)(transformer_blocks|layers)\.\d+\..*weight$/.test(name) &&
    !/(^|\.)\w*emb\w*\.weight$/.test(name);
}

/** Root mean square of an element of AdamW's steps, as a share of the learning rate (Liu et al.). */
const ADAM_LENGTH = 0.2;

/**
 * Muon (Jordan et al., 2024): momentum as of Nesterov, made orthogonal, for the matrices inside of a
 * network; its steps are as long as those of AdamW (Liu et al., arXiv 2502.16982), which the other
 * parameters are left to. All gradients are cut together first, and every parameter decays.
 *
 * Orthogonal matrices are computed on the device, the rest on the host; in an order that does not depend
 * on threads.
 */
export class Muon implements Optimizer, Disposable {
  readonly #backend: Backend;
  readonly #options: { readonly [K in keyof MuonOptions]-?: NonNullable<MuonOptions[K]> };
  readonly #others: AdamW;
  readonly #momentum = new Map<TrainableTensor, { readonly momentum: Float32Array }>();
  #orthogonalizer: Orthogonalizer | undefined;
  /** The parameters that it was recorded for. */
  #recorded: readonly TrainableTensor[] = [];

  /**
   * Begins without a history.
   *
   * @param backend Where the parameters lie.
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    backend: Backend,
    { momentum = 0.95, weightDecay = 0.02, maxGradNorm = 1, isHidden = isHiddenMatrix }:
      MuonOptions = {},
  ) {
    const subject = (name: string) => ({ task: "make Muon", name });
    checkNumber(subject("momentum"), momentum, { min: 0, max: 1 });
    checkNumber(subject("weightDecay"), weightDecay, { min: 0 });
    if (maxGradNorm !== Infinity) checkNumber(subject("maxGradNorm"), maxGradNorm, { min: 0 });
    checkFunction(subject("isHidden"), isHidden);
    this.#backend = backend;
    this.#options = { momentum, weightDecay, maxGradNorm, isHidden };
    this.#others = new AdamW({ weightDecay });
  }

  /** How many steps were done. */
  get steps(): number {
    return this.#others.steps;
  }

  /** `momentum` of matrices inside of the network, and AdamW's memory of the others. */
  get memory(): ReadonlyMap<TrainableTensor, OptimizerMemory> {
    return new Map([...this.#momentum, ...this.#others.memory]);
  }

  /** Goes on from where another was. */
  restore(steps: number, memory: ReadonlyMap<TrainableTensor, OptimizerMemory>): void {
    this.#momentum.clear();
    for (const [parameter, { momentum }] of memory) {
      if (momentum) this.#momentum.set(parameter, { momentum });
    }
    this.#others.restore(steps, memory);
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
    checkNumber({ task: "step Muon", name: "learningRate" }, learningRate, { min: 0 });
    const clipped = await clipGradients(gradients, this.#options.maxGradNorm);
    const isHidden = ({ parameter }: HostGradient) =>
      parameter.arrays.every(([name, shape]) => this.#options.isHidden(name, shape));
    const hidden = clipped.gradients.filter(isHidden);
    const others = clipped.gradients.filter((one) => !isHidden(one));
    await this.#stepHidden({ ...clipped, gradients: hidden }, learningRate);
    await this.#others.apply({ ...clipped, gradients: others }, learningRate);
    return clipped.norm;
  }

  /** Gives the memory of the device back. */
  dispose(): void {
    this.#orthogonalizer?.dispose();
    this.#orthogonalizer = undefined;
    this.#recorded = [];
  }

  /** Gives the memory of the device back. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #stepHidden(
    { gradients, factor }: ClippedGradients,
    learningRate: number,
  ): Promise<void> {
    if (gradients.length === 0) return;
    const { weightDecay } = this.#options;
    const directions = gradients.flatMap((gradient) => this.#directions(gradient, factor));
    const parameters = gradients.map(({ parameter }) => parameter);
    const orthogonal = await this.#orthogonalizerOf(parameters).run(directions);
    const kept = 1 - learningRate * weightDecay;
    let next = 0;
    for await (const [{ parameter: { arrays, tensor } }, values] of readParameters(gradients)) {
      let at = 0;
      for (const [, shape] of arrays) {
        const change = orthogonal[next++]!;
        const size = learningRate * ADAM_LENGTH * Math.sqrt(Math.max(...shape));
        for (let i = 0; i < change.length; i++, at++) {
          values[at] = kept * values[at]! - size * change[i]!;
        }
      }
      tensor.write(values);
    }
  }

  /** Takes a gradient into the momentum, and gives what is to become orthogonal, for each array. */
  #directions({ parameter, values }: HostGradient, factor: number): Float32Array[] {
    const { momentum: share } = this.#options;
    let memory = this.#momentum.get(parameter);
    if (memory === undefined) {
      memory = { momentum: new Float32Array(values.length) };
      this.#momentum.set(parameter, memory);
    }
    const { momentum } = memory;
    const direction = new Float32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const g = factor * values[i]!;
      const m = momentum[i] = share * momentum[i]! + g;
      direction[i] = g + share * m;
    }
    let at = 0;
    return parameter.arrays.map(([, shape]) => direction.subarray(at, at += elementCount(shape)));
  }

  #orthogonalizerOf(parameters: readonly TrainableTensor[]): Orthogonalizer {
    const isSame = parameters.length === this.#recorded.length &&
      parameters.every((parameter, i) => parameter === this.#recorded[i]);
    if (this.#orthogonalizer === undefined || !isSame) {
      this.dispose();
      const shapes = parameters.flatMap(({ arrays }) =>
        arrays.map(([, shape]) => shape as MatrixShape)
      );
      this.#orthogonalizer = new Orthogonalizer(this.#backend, shapes);
      this.#recorded = parameters;
    }
    return this.#orthogonalizer;
  }
}
