/**
 * The noise of a generation, drawn ahead of the device.
 *
 * @module
 */

import { rewindable } from "../random/batch_generator.ts";
import type { RandomGenerator } from "../random/random_generator.ts";
import type { SamplingStep } from "../schedulers/sampling_plan.ts";
import type { NoiseSizes, Scheduler } from "../schedulers/scheduler.ts";

/** State of a generator before it drew the noise of a step; undefined if it cannot be set back. */
export type NoisePosition = Uint32Array | undefined;

/** What the noise of a generation depends on. */
export interface NoiseSourceOptions {
  /** Draws the noise of a step. */
  readonly scheduler: Pick<Scheduler, "drawNoise">;
  /** The steps, in order. */
  readonly steps: readonly SamplingStep[];
  /** Images and tokens. */
  readonly sizes: NoiseSizes;
  /** Where the random numbers come from. */
  readonly generator: RandomGenerator;
}

interface Drawn {
  readonly values: Float32Array;
  readonly before: NoisePosition;
}

/** Has the scheduler draw the noise of one step after the other, and holds what was drawn ahead. */
export class NoiseSource {
  readonly #options: NoiseSourceOptions;
  /** Noise drawn for steps that are not over, by the index of the step. */
  readonly #drawn = new Map<number, Drawn>();
  /** Arrays to be used again. */
  readonly #spare: Float32Array[] = [];

  constructor(options: NoiseSourceOptions) {
    this.#options = options;
  }

  /** Whether the generator can be set back, so that steps can be repeated. */
  get canRewind(): boolean {
    return rewindable(this.#options.generator) !== undefined;
  }

  /** Draws the noise of a step if there is such a step and that has not been done. */
  drawAhead(index: number): void {
    if (index < this.#options.steps.length) this.#draw(index);
  }

  /** The noise of a step, as the scheduler draws it; that of earlier steps is over. */
  take(index: number): Float32Array {
    for (const [other, { values }] of this.#drawn) {
      if (other >= index) continue;
      this.#drawn.delete(other);
      this.#spare.push(values);
    }
    return this.#draw(index).values;
  }

  /** Where the noise of a step begins, which is the next to be drawn or has been drawn. */
  position(index: number): NoisePosition {
    return this.#drawn.get(index)?.before ?? this.#state();
  }

  /** Goes back to a position. Without one, all that was drawn is still to be taken. */
  rewind(position: NoisePosition): void {
    const generator = rewindable(this.#options.generator);
    if (generator === undefined || position === undefined) return;
    this.#drawn.clear();
    generator.setState(position);
  }

  #draw(index: number): Drawn {
    let drawn = this.#drawn.get(index);
    if (!drawn) {
      const { scheduler, steps, sizes, generator } = this.#options;
      const before = this.#state();
      const values = scheduler.drawNoise(steps[index]!, sizes, generator, this.#spare.pop());
      drawn = { values, before };
      this.#drawn.set(index, drawn);
    }
    return drawn;
  }

  #state(): NoisePosition {
    return rewindable(this.#options.generator)?.getState();
  }
}
