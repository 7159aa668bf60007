/**
 * The plan of a run: which steps there are, and the schedule that they read.
 *
 * @module
 */

import type { Frame, PosteriorOptions } from "../backends/backend.ts";
import { SCHEDULE_COLUMNS } from "../backends/backend.ts";
import type { TimestepSpacing } from "./vq_diffusion_config.ts";

/** The steps of a run, and the schedule that they read. */
export interface SamplingPlan {
  /** (rows, 6), row-major, columns as in `SCHEDULE_COLUMNS`; made for this run. */
  readonly table: Float32Array;
  /** The steps, in order. */
  readonly steps: readonly SamplingStep[];
}

/**
 * A step of a run. What the network is given and what the schedule says are two things: a sampler that
 * takes fewer steps may ask the network about one timestep and apply the transition of another.
 */
export interface SamplingStep {
  /** The timestep that the network is given. */
  readonly timestep: number;
  /**
   * Row of the table that the step goes from; the row before it is where the step leads. Row 0 leads to
   * x_0, which is drawn from the prediction itself.
   */
  readonly row: number;
  /** Tokens of an image that the step reveals, for a sampler that counts them. */
  readonly reveal?: number;
}

/**
 * Spreads steps over all timesteps of a training, evenly and with the last one in: for n of T those
 * nearest to T/n, 2T/n, … T, less one.
 *
 * @param n From 1 to T.
 * @returns n timesteps, rising.
 */
export function spreadTimesteps(n: number, numTrainTimesteps: number): number[] {
  return Array.from({ length: n }, (_, i) => Math.round((i + 1) * numTrainTimesteps / n) - 1);
}

/**
 * Spreads steps over all timesteps of a training by the cosine of MaskGIT (Chang et al., arXiv 2202.04200,
 * section 3.3): for n of T those nearest to T cos(πi / 2n), less one, for i = 0 … n − 1. While most tokens
 * are masked the strides are short, so that few are revealed at a time; where two would fall together, the
 * later ones move on, so that T of T are all of them.
 *
 * @param n From 1 to T.
 * @returns n timesteps, rising.
 */
function cosineTimesteps(n: number, numTrainTimesteps: number): number[] {
  const falling: number[] = [];
  for (let i = 0; i < n; i++) {
    const nearest = Math.round(numTrainTimesteps * Math.cos(Math.PI * i / (2 * n))) - 1;
    const below = (falling.at(-1) ?? numTrainTimesteps) - 1;
    falling.push(Math.max(n - 1 - i, Math.min(nearest, below)));
  }
  return falling.reverse();
}

/** The n timesteps of T that a spacing takes, rising. */
export function timestepsOf(
  spacing: TimestepSpacing,
  n: number,
  numTrainTimesteps: number,
): number[] {
  switch (spacing) {
    case "leading":
      return Array.from({ length: n }, (_, t) => t);
    case "strided":
      return spreadTimesteps(n, numTrainTimesteps);
    case "cosine":
      return cosineTimesteps(n, numTrainTimesteps);
  }
}

/**
 * Checks the number of steps of a run.
 *
 * @throws {RangeError} If it is not an integer from 1 to the number of timesteps of the training.
 */
export function checkSteps(n: number, numTrainTimesteps: number): void {
  if (Number.isSafeInteger(n) && n >= 1 && n <= numTrainTimesteps) return;
  throw new RangeError(
    `Cannot plan the steps: n is ${n}, expected an integer from 1 to ${numTrainTimesteps}`,
  );
}

/** The shape of a plan's table. */
export function tableShape({ table }: SamplingPlan): [rows: number, columns: number] {
  return [table.length / SCHEDULE_COLUMNS.length, SCHEDULE_COLUMNS.length];
}

/** A plan's table in the memory of a frame, and which row of it the next run reads. */
export function recordSchedule(frame: Frame, plan: SamplingPlan): PosteriorOptions {
  const schedule = frame.empty(tableShape(plan), "f32");
  schedule.write(plan.table);
  return { schedule, row: frame.empty([1], "i32") };
}
