/**
 * Gradients of several batches as those of one.
 *
 * @module
 */

import type { ParameterGradient } from "./optimizer.ts";
import { readAhead } from "./read_ahead.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** Adds up the gradients of batches that do not fit into memory together, and divides by their number. */
export class GradientSum {
  readonly #sums = new Map<TrainableTensor, Float32Array>();
  #batches = 0;

  /** Takes in the gradients of a batch. */
  async add(gradients: readonly ParameterGradient[]): Promise<void> {
    const read = ({ gradient }: ParameterGradient) => gradient.data();
    for await (const [{ parameter }, values] of readAhead(gradients, read)) {
      const sum = this.#sums.get(parameter);
      if (sum === undefined) this.#sums.set(parameter, values);
      else for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
    }
    this.#batches++;
  }

  /** The mean of all batches. */
  get gradients(): readonly ParameterGradient[] {
    const mean = (sum: Float32Array) => sum.map((value) => value / this.#batches);
    return Array.from(this.#sums, ([parameter, sum]) => {
      return { parameter, gradient: { data: () => Promise.resolve(mean(sum)) } };
    });
  }
}
