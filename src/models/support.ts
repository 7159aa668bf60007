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
  const expected = supported.map((one) => JSON.stringify(one)).join(" or ");
  throw new RangeError(
    `Cannot use ${config.description}: ${key} is ${describeValue(value)}, which is not ` +
      `supported, expected ${expected}`,
  );
}
