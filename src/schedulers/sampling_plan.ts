/**
 * The plan of a run: which steps there are, and the schedule that they read.
 *
 * @module
 */

import { SCHEDULE_COLUMNS } from "../backends/backend.ts";

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
}

/** The shape of a plan's table. */
export function tableShape({ table }: SamplingPlan): [rows: number, columns: number] {
  return [table.length / SCHEDULE_COLUMNS.length, SCHEDULE_COLUMNS.length];
}
