/**
 * Numbers in requests that have them as texts: queries, forms, and clients that write them so.
 *
 * @module
 */

import { GENERATION_PARAMETERS } from "../pipeline/generation_parameters.ts";

/** Short names of the parameters of a generation that are numbers; one would not be exact enough for a seed. */
export const NUMBER_PARAMETERS: readonly string[] = Object.values(GENERATION_PARAMETERS)
  .filter(({ type }) => type === "integer" || type === "number")
  .map(({ shortName }) => shortName);

/** The longest text that is a number: all digits of 0.1 as a float64 are 57. */
const MOST_CHARACTERS = 100;

/** Digits have one way to match: where there were two, a text of many of them would take the square of its time. */
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** The number that a text is; everything else stays as it is. */
export function numberIfText<T>(value: T): T | number {
  const isNumber = typeof value === "string" && value.length <= MOST_CHARACTERS &&
    NUMBER.test(value);
  return isNumber ? Number(value) : value;
}
