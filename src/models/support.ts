/**
 * Checks of configs that models share.
 *
 * @module
 */

import { describeValue } from "../base/check.ts";
import type { Config } from "../checkpoints/config.ts";

/**
 * Checks a field that only few values are supported for; a field that is missing or null is fine.
 *
 * @throws {RangeError} If it has another value.
 */
export function supportOnly(
  config: Config,
  key: string,
  supported: readonly (string | number | boolean)[],
): void {
  const value = Object.hasOwn(config.values, key) ? config.values[key] : undefined;
  if (value === undefined || value === null || supported.some((one) => one === value)) return;
  const expected = supported.map((one) => JSON.stringify(one)).join(" or ") || "null";
  throw new RangeError(
    `Cannot use ${config.description}: ${key} is ${describeValue(value)}, which is not ` +
      `supported, expected ${expected}`,
  );
}

/**
 * Keys that concern what is not computed here, or that versions after the first added: the values of
 * each that change nothing. Null and none change nothing in any.
 */
export type SupportedValues = Readonly<Record<string, readonly (string | number | boolean)[]>>;

/**
 * Checks fields that only few values are supported for.
 *
 * @throws {RangeError} If one of them has another value; it names the field.
 */
export function supportTable(config: Config, table: SupportedValues): void {
  for (const [key, supported] of Object.entries(table)) supportOnly(config, key, supported);
}
