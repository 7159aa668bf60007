/**
 * Averages of parameters over the steps of training.
 *
 * @module
 */

import { checkNumber } from "../base/check.ts";
import { readParameters } from "./read_ahead.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** What has parameters: `TrainableParameters`, or a list of those of several models. */
export interface HasTensors {
  /** The parameters. */
  readonly tensors: readonly TrainableTensor[];
}

/** Options of {@linkcode ExponentialMovingAverage}. */
export interface ExponentialMovingAverageOptions {
  /** Share of the old in an update. Default 0.99, Microsoft's. */
  readonly decay?: number | undefined;
}

/**
 * The exponential moving average of all parameters of a model, which draws better pictures than the
 * parameters of any one step: e ← decay · e + (1 − decay) · p. It begins with the parameters as they are,
 * and lies in the memory of the host.
 */
export class ExponentialMovingAverage {
  readonly #averages: ReadonlyMap<TrainableTensor, Float32Array>;
  readonly #decay: number;

  private constructor(averages: ReadonlyMap<TrainableTensor, Float32Array>, decay: number) {
    this.#averages = averages;
    this.#decay = decay;
  }

  /**
   * Copies the parameters of a model that is loaded.
   *
   * @throws {TypeError} If the decay is not a number.
   * @throws {RangeError} If it is not from 0 to 1.
   */
  static async start(
    parameters: HasTensors,
    { decay = 0.99 }: ExponentialMovingAverageOptions = {},
  ): Promise<ExponentialMovingAverage> {
    const subject = { task: "make ExponentialMovingAverage", name: "decay" };
    checkNumber(subject, decay, { min: 0, max: 1 });
    const copies = parameters.tensors.map(async (parameter) =>
      [parameter, await parameter.tensor.data()] as const
    );
    return new ExponentialMovingAverage(new Map(await Promise.all(copies)), decay);
  }

  /** The average of each parameter; the arrays stay its own. */
  get averages(): ReadonlyMap<TrainableTensor, Float32Array> {
    return this.#averages;
  }

  get #items(): readonly { readonly parameter: TrainableTensor; readonly average: Float32Array }[] {
    return Array.from(this.#averages, ([parameter, average]) => ({ parameter, average }));
  }

  /** Goes on from where another was. */
  restore(averages: ReadonlyMap<TrainableTensor, Float32Array>): void {
    for (const [parameter, average] of this.#averages) {
      const values = averages.get(parameter);
      if (values !== undefined) average.set(values);
    }
  }

  /** Takes the parameters of a step in. */
  async update(): Promise<void> {
    for await (const [{ average }, values] of readParameters(this.#items)) {
      for (let i = 0; i < values.length; i++) {
        average[i] = this.#decay * average[i]! + (1 - this.#decay) * values[i]!;
      }
    }
  }

  /** Exchanges averages and parameters, to draw with the averages or to save them; and back again. */
  async exchange(): Promise<void> {
    for await (const [{ parameter: { tensor }, average }, values] of readParameters(this.#items)) {
      tensor.write(average);
      average.set(values);
    }
  }
}
