/**
 * The noise of a generation, drawn ahead of the device.
 *
 * @module
 */

import type { RandomGenerator } from "../random/random_generator.ts";
import { TorchGenerator } from "../random/torch_generator.ts";

/** Sizes that the amount of noise depends on. */
export interface NoiseSizes {
  /** Number of images. */
  readonly batch: number;
  /** Tokens of an image. */
  readonly pixels: number;
  /** Classes of a token, the mask included. */
  readonly classes: number;
}

/** State of a generator before it drew the noise of a timestep; undefined if it cannot be set back. */
export type NoisePosition = ReturnType<TorchGenerator["getState"]> | undefined;

interface Drawn {
  readonly values: Float32Array;
  readonly before: NoisePosition;
}

/**
 * Draws the noise of one timestep after the other, as `torch.rand` is called by diffusers: a tensor
 * (batch, classes, pixels), at t = 0 without the mask's class. Holds what was drawn ahead.
 */
export class NoiseSource {
  readonly #generator: RandomGenerator;
  readonly #sizes: NoiseSizes;
  /** Noise drawn for timesteps that are not over. */
  readonly #drawn = new Map<number, Drawn>();
  /** Arrays to be used again. */
  readonly #spare: Float32Array[] = [];

  constructor(generator: RandomGenerator, sizes: NoiseSizes) {
    this.#generator = generator;
    this.#sizes = sizes;
  }

  /** Whether the generator can be set back, so that steps can be repeated. */
  get canRewind(): boolean {
    return this.#generator instanceof TorchGenerator;
  }

  /** Draws the noise of a timestep if that has not been done. */
  draw(timestep: number): Drawn {
    let drawn = this.#drawn.get(timestep);
    if (!drawn) {
      const { batch, pixels, classes } = this.#sizes;
      const count = batch * pixels * (timestep === 0 ? classes - 1 : classes);
      drawn = {
        values: this.#spare.pop() ?? new Float32Array(batch * pixels * classes),
        before: this.#state(),
      };
      this.#generator.fill(drawn.values.subarray(0, count));
      this.#drawn.set(timestep, drawn);
    }
    return drawn;
  }

  /** The noise of a timestep, (batch, classes, pixels); that of later timesteps is over. */
  take(timestep: number): Float32Array {
    for (const [other, { values }] of this.#drawn) {
      if (other <= timestep) continue;
      this.#drawn.delete(other);
      this.#spare.push(values);
    }
    return this.draw(timestep).values;
  }

  /** Where the noise of a timestep begins, which is the next to be drawn or has been drawn. */
  position(timestep: number): NoisePosition {
    return this.#drawn.get(timestep)?.before ?? this.#state();
  }

  /** Goes back to a position. Without one, all that was drawn is still to be taken. */
  rewind(position: NoisePosition): void {
    if (!(this.#generator instanceof TorchGenerator) || position === undefined) return;
    this.#drawn.clear();
    this.#generator.setState(position);
  }

  #state(): NoisePosition {
    return this.#generator instanceof TorchGenerator ? this.#generator.getState() : undefined;
  }
}
