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

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number that a text is; everything else stays as it is. */
export function numberIfText<T>(value: T): T | number {
  return typeof value === "string" && NUMBER.test(value) ? Number(value) : value;
}
