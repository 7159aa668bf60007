/**
 * Checks of the arrays of a batch.
 *
 * @module
 */

import { formatRange, type Range, refuseRange, refuseType } from "../base/check.ts";

/**
 * Fails unless an array has so many values, all of them in a range.
 *
 * @param task What cannot be done otherwise: `"compute DiffusionLoss"`.
 * @throws {TypeError} If it is no typed array.
 * @throws {RangeError} If it is of another length, or a value is out of range or no number.
 */
export function checkValues(
  task: string,
  name: string,
  values: Int32Array | Float32Array | Float64Array | undefined,
  count: number,
  range: Range = {},
): void {
  if (!ArrayBuffer.isView(values)) refuseType({ task, name }, values, "a typed array");
  if (values.length !== count) {
    refuseRange({ task, name: `the length of ${name}` }, values.length, `${count}`);
  }
  // The negation catches NaN.
  const { min = -Infinity, max = Infinity } = range;
  const wrong = values.findIndex((value: number) => !(value >= min && value <= max));
  if (wrong < 0) return;
  refuseRange({ task, name: `${name}[${wrong}]` }, values[wrong], `a number${formatRange(range)}`);
}
