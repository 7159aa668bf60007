/**
 * The transition probabilities of VQ-Diffusion's mask-and-replace noise.
 *
 * @module
 */

import { SCHEDULE_COLUMNS } from "../backends/backend.ts";

/** Ends of the linear cumulative schedules, as in the config of diffusers' `VQDiffusionScheduler`. */
export interface NoiseScheduleOptions {
  /** Number of classes, the mask included. */
  readonly numVecClasses: number;
  /** Number of timesteps T. */
  readonly numTrainTimesteps: number;
  /** Cumulative probability to keep a token, at timestep 0. */
  readonly alphaCumStart: number;
  /** Cumulative probability to keep a token, at timestep T − 1. */
  readonly alphaCumEnd: number;
  /** Cumulative probability to be masked, at timestep 0. */
  readonly gammaCumStart: number;
  /** Cumulative probability to be masked, at timestep T − 1. */
  readonly gammaCumEnd: number;
}

/**
 * Logarithms of the transition probabilities at each timestep: a token is kept (a), replaced by a
 * given other one (b) or masked (c). Computed in float64, stored in float32.
 */
export interface NoiseSchedules {
  /** log α_t, T entries. */
  readonly logAt: Float32Array;
  /** log β_t, T entries. */
  readonly logBt: Float32Array;
  /** log γ_t, T entries. */
  readonly logCt: Float32Array;
  /** log ᾱ_t, T + 1 entries, the last for "no noise": 0. */
  readonly logCumprodAt: Float32Array;
  /** log β̄_t, T + 1 entries, the last for "no noise": −∞. */
  readonly logCumprodBt: Float32Array;
  /** log γ̄_t, T + 1 entries, the last for "no noise": −∞. */
  readonly logCumprodCt: Float32Array;
}

/**
 * Computes the schedules of Gu et al., "Vector Quantized Diffusion Model for Text-to-Image
 * Synthesis": ᾱ falls and γ̄ rises linearly, the single steps follow from their ratios.
 *
 * @param options Number of classes and timesteps, and the ends of the cumulative schedules.
 * @returns The six arrays.
 */
export function noiseSchedules(options: NoiseScheduleOptions): NoiseSchedules {
  const { alphaCum, betaCum, gammaCum } = cumulative(options);
  const alpha = alphaCum.map((value, t) => value / (alphaCum[t - 1] ?? 1));
  const gamma = gammaCum.map((value, t) => 1 - (1 - value) / (1 - (gammaCum[t - 1] ?? 0)));
  return {
    logAt: logs(alpha),
    logBt: logs(rest(options, alpha, gamma)),
    logCt: logs(gamma),
    logCumprodAt: logs(alphaCum, 1),
    logCumprodBt: logs(betaCum, 0),
    logCumprodCt: logs(gammaCum, 0),
  };
}

/**
 * Lays the schedules out as the table that `Frame.posterior` and `Frame.sampleStep` read.
 *
 * @param schedules Schedules of T timesteps.
 * @returns (T + 1, 6), row-major, columns in the order of `SCHEDULE_COLUMNS`.
 */
export function scheduleRows(schedules: NoiseSchedules): Float32Array<ArrayBuffer> {
  const { logAt, logBt, logCt, logCumprodAt, logCumprodBt, logCumprodCt } = schedules;
  const columns = [logAt, logBt, logCt, logCumprodAt, logCumprodBt, logCumprodCt];
  const rows = new Float32Array(logCumprodAt.length * columns.length);
  columns.forEach((column, c) =>
    column.forEach((value, t) => rows[t * columns.length + c] = value)
  );
  return rows;
}

/**
 * The schedule of some timesteps of the training only, as a table like that of {@linkcode scheduleRows}:
 * the cumulative columns are those of the timesteps, the others the transition between one and the next.
 * Mask-and-replace closes under composition: from s to t a token is kept with ᾱ_t/ᾱ_s, masked with
 * (γ̄_t − γ̄_s)/(1 − γ̄_s), and replaced by a given other one with (ᾱ_s β̄_t − ᾱ_t β̄_s)/(ᾱ_s (1 − γ̄_s)), which
 * are written here so that nothing cancels that is not small itself.
 *
 * @param schedules The schedules of all timesteps, whose rows are taken where s is t − 1.
 * @param timesteps Rising.
 * @returns (timesteps + 1, 6), row-major, the last row for "no noise".
 */
export function stridedRows(
  options: NoiseScheduleOptions,
  schedules: NoiseSchedules,
  timesteps: readonly number[],
): Float32Array<ArrayBuffer> {
  const width = SCHEDULE_COLUMNS.length;
  const all = scheduleRows(schedules);
  const { alphaCum, betaCum, gammaCum } = cumulative(options);
  const rows = [...timesteps, options.numTrainTimesteps].map((t, i) => {
    const row = all.slice(t * width, (t + 1) * width);
    const s = timesteps[i - 1] ?? -1;
    if (t === options.numTrainTimesteps || s === t - 1) return row;
    // From no noise at all, the transition is the cumulative one.
    if (s === -1) return Float32Array.of(...row.subarray(3), ...row.subarray(3));
    const [a, b, c] = [alphaCum[t]!, betaCum[t]!, gammaCum[t]!];
    const [beforeA, beforeB, beforeC] = [alphaCum[s]!, betaCum[s]!, gammaCum[s]!];
    const replaced = (beforeA * b - a * beforeB) / (beforeA * (1 - beforeC));
    const transition = [a / beforeA, Math.max(replaced, 0), (c - beforeC) / (1 - beforeC)];
    row.set(transition.map(Math.log));
    return row;
  });
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** ᾱ_t, β̄_t and γ̄_t of every timestep. */
function cumulative(options: NoiseScheduleOptions) {
  const steps = options.numTrainTimesteps;
  const alphaCum = linear(steps, options.alphaCumStart, options.alphaCumEnd);
  const gammaCum = linear(steps, options.gammaCumStart, options.gammaCumEnd);
  return { alphaCum, betaCum: rest(options, alphaCum, gammaCum), gammaCum };
}

/** What is left for each of the classes that a token is replaced by. */
function rest(
  { numVecClasses }: NoiseScheduleOptions,
  kept: Float64Array,
  masked: Float64Array,
): Float64Array {
  return kept.map((value, t) => (1 - value - masked[t]!) / (numVecClasses - 1));
}

/** `steps` values from `start` to `end`, in the reference's order of operations. */
function linear(steps: number, start: number, end: number): Float64Array {
  return Float64Array.from({ length: steps }, (_, t) => t / (steps - 1) * (end - start) + start);
}

/** Logarithms in float32 of the values and of those appended. */
function logs(values: Float64Array, ...appended: number[]): Float32Array {
  return Float32Array.from([...values, ...appended], Math.log);
}
