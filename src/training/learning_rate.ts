/**
 * Learning rates over the steps of training.
 *
 * @module
 */

import { checkInteger, checkNumber } from "../base/check.ts";

/** A learning rate that changes from step to step. */
export interface LearningRate {
  /** That of the next step. */
  readonly value: number;
  /**
   * Goes on to the next step.
   *
   * @param loss The loss of the step that was done.
   */
  advance(loss: number): void;
  /** All that it depends on, to be given to another of the same options. */
  state: readonly number[];
}

/** A rise in equal steps. */
export interface WarmUpOptions {
  /** The learning rate of the first step; without a warm-up that is the peak. */
  readonly base: number;
  /** That after the warm-up. */
  readonly peak: number;
  /** Steps of the warm-up. */
  readonly warmUp: number;
  /** The least learning rate. */
  readonly min: number;
}

/** Options of {@linkcode PlateauLearningRate}: by default those of Microsoft's COCO config. */
export interface PlateauOptions extends Partial<WarmUpOptions> {
  /** What the learning rate is multiplied by where the loss stays. Default 0.5. */
  readonly factor?: number | undefined;
  /** Steps in a row that may be no better. Default 60000. */
  readonly patience?: number | undefined;
  /** Share of the best loss that a better one has to be below it. Default 0.1. */
  readonly threshold?: number | undefined;
}

/** Options of {@linkcode CosineLearningRate}. */
export interface CosineOptions extends WarmUpOptions {
  /** Steps in all, from 1 more than those of the warm-up on. */
  readonly steps: number;
}

/**
 * A warm-up, then less whenever the loss stays: Microsoft's `ReduceLROnPlateauWithWarmup`.
 */
export class PlateauLearningRate implements LearningRate {
  readonly #options: { readonly [K in keyof PlateauOptions]-?: NonNullable<PlateauOptions[K]> };
  #steps = 0;
  #value: number;
  #best = Infinity;
  #notBetter = 0;

  /**
   * Begins at the first step.
   *
   * @throws {TypeError} If an option is not a number.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    {
      base = 3e-6,
      peak = 2e-4,
      warmUp = 1000,
      min = 1e-6,
      factor = 0.5,
      patience = 60_000,
      threshold = 0.1,
    }: PlateauOptions = {},
  ) {
    checkWarmUp({ base, peak, warmUp, min });
    checkNumber(subject("factor"), factor, { min: 0, max: 1 });
    checkInteger(subject("patience"), patience, { min: 0 });
    checkNumber(subject("threshold"), threshold, { min: 0, max: 1 });
    this.#options = { base, peak, warmUp, min, factor, patience, threshold };
    this.#value = warmUp > 0 ? base : peak;
  }

  /** The learning rate of the next step. */
  get value(): number {
    return this.#value;
  }

  /** All that it depends on but its options. */
  get state(): readonly number[] {
    return [this.#steps, this.#value, this.#best, this.#notBetter];
  }

  set state(state: readonly number[]) {
    [this.#steps = 0, this.#value = 0, this.#best = Infinity, this.#notBetter = 0] = state;
  }

  /** Goes on to the next step. */
  advance(loss: number): void {
    const { base, peak, warmUp, min, factor, patience, threshold } = this.#options;
    if (loss < this.#best * (1 - threshold)) [this.#best, this.#notBetter] = [loss, 0];
    else this.#notBetter++;
    this.#steps++;
    if (this.#steps <= warmUp) this.#value += (peak - base) / warmUp;
    else if (this.#notBetter > patience) {
      this.#value = Math.max(this.#value * factor, min);
      this.#notBetter = 0;
    }
  }
}

/**
 * A warm-up, then half a wave of the cosine down to 0, not below the least: Microsoft's `CosineAnnealingLRWithWarmup`,
 * whose wave begins one step of the warm-up above the peak.
 */
export class CosineLearningRate implements LearningRate {
  readonly #options: CosineOptions;
  #steps = 0;

  /**
   * Begins at the first step.
   *
   * @throws {TypeError} If an option is not a number.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(options: CosineOptions) {
    checkWarmUp(options);
    const { warmUp } = options;
    checkInteger(subject("steps"), options.steps, { min: warmUp + 1 });
    this.#options = options;
  }

  /** The learning rate of the next step. */
  get value(): number {
    const { base, peak, warmUp, min, steps } = this.#options;
    const rise = warmUp > 0 ? (peak - base) / warmUp : 0;
    const after = this.#steps - warmUp - 1;
    if (after <= 0) return warmUp > 0 ? base + this.#steps * rise : peak;
    const share = Math.min(1, after / (steps - warmUp));
    return Math.max(min, (peak + rise) * (1 + Math.cos(Math.PI * share)) / 2);
  }

  /** All that it depends on but its options. */
  get state(): readonly number[] {
    return [this.#steps];
  }

  set state(state: readonly number[]) {
    [this.#steps = 0] = state;
  }

  /** Goes on to the next step. */
  advance(): void {
    this.#steps++;
  }
}

/**
 * A warm-up from nearly nothing, then a cosine that ends at 0.
 *
 * @param most The greatest learning rate.
 * @param warmUp Steps before it is reached.
 * @param steps Steps in all.
 */
export function warmedCosine(most: number, warmUp: number, steps: number): CosineLearningRate {
  // The wave begins one step of the warm-up above what is called its peak.
  const rise = most / (warmUp + 2);
  const peak = warmUp > 0 ? most - rise : most;
  return new CosineLearningRate({ base: rise, peak, warmUp, min: 0, steps });
}

function checkWarmUp({ base, peak, warmUp, min }: WarmUpOptions): void {
  checkNumber(subject("base"), base, { min: 0 });
  checkNumber(subject("peak"), peak, { min: 0 });
  checkNumber(subject("min"), min, { min: 0 });
  checkInteger(subject("warmUp"), warmUp, { min: 0 });
}

function subject(name: string) {
  return { task: "make a learning rate", name };
}
