/**
 * The transition probabilities of VQ-Diffusion's mask-and-replace noise.
 *
 * @module
 */

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
  const steps = options.numTrainTimesteps;
  const replaceable = options.numVecClasses - 1;
  const alphaCum = linear(steps, options.alphaCumStart, options.alphaCumEnd);
  const gammaCum = linear(steps, options.gammaCumStart, options.gammaCumEnd);
  const alpha = alphaCum.map((value, t) => value / (alphaCum[t - 1] ?? 1));
  const gamma = gammaCum.map((value, t) => 1 - (1 - value) / (1 - (gammaCum[t - 1] ?? 0)));
  const rest = (a: Float64Array, c: Float64Array) =>
    a.map((value, t) => (1 - value - c[t]!) / replaceable);
  return {
    logAt: logs(alpha),
    logBt: logs(rest(alpha, gamma)),
    logCt: logs(gamma),
    logCumprodAt: logs(alphaCum, 1),
    logCumprodBt: logs(rest(alphaCum, gammaCum), 0),
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

/** `steps` values from `start` to `end`, in the reference's order of operations. */
function linear(steps: number, start: number, end: number): Float64Array {
  return Float64Array.from({ length: steps }, (_, t) => t / (steps - 1) * (end - start) + start);
}

/** Logarithms in float32 of the values and of those appended. */
function logs(values: Float64Array, ...appended: number[]): Float32Array {
  return Float32Array.from([...values, ...appended], Math.log);
}
