/**
 * Guidance in a part of the steps only (Kynkäänniemi et al., arXiv 2404.07724).
 *
 * @module
 */

import { refuseRange, refuseType, type Subject } from "../base/check.ts";

/**
 * Shares of the noise between which there is guidance, from 0 for none to 1 for that of the last timestep.
 * A step at timestep t of T has (t + 1) / T; it is guided if that is above `low` and at most `high`.
 */
export type GuidanceInterval = readonly [low: number, high: number];

/** What an interval is, for error messages. */
export const INTERVALS = "two numbers from 0 to 1, the lower first";

/** What an interval is as text. */
export const INTERVAL_TEXTS = `${INTERVALS}, such as 0.2-0.8`;

/**
 * Checks an interval. Undefined passes.
 *
 * @throws {TypeError} If it is no array of numbers.
 * @throws {RangeError} If there are not two, or they are out of range or not in order.
 */
export function checkInterval(subject: Subject, value: unknown): void {
  if (value === undefined) return;
  const isList = Array.isArray(value) && value.every((bound) => typeof bound === "number");
  if (!isList) refuseType(subject, value, INTERVALS);
  if (!isInterval(value)) refuseRange(subject, `[${value.join(", ")}]`, INTERVALS);
}

/** Whether a list is an interval that has something in it. */
export function isInterval(list: readonly number[]): boolean {
  const [low = NaN, high = NaN] = list;
  return list.length === 2 && 0 <= low && low < high && high <= 1;
}

/** Reads an interval that is given as text; undefined if it is not {@linkcode INTERVAL_TEXTS}. */
export function parseInterval(text: string): GuidanceInterval | undefined {
  const number = String.raw`(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})`;
  const [, low, high] = new RegExp(`^${number}-${number}$`).exec(text) ?? [];
  const interval = [Number(low), Number(high)] as const;
  return isInterval(interval) ? interval : undefined;
}

/** Whether a step at a timestep is guided. */
export function isInside(
  interval: GuidanceInterval | undefined,
  timestep: number,
  numTrainTimesteps: number,
): boolean {
  const [low, high] = interval ?? [0, 1];
  // Divided, as a share that people write is: 0.29 is inside of 0.29.
  const noise = (timestep + 1) / numTrainTimesteps;
  return low < noise && noise <= high;
}
