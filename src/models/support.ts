/**
 * Checks of configs and arguments that models share.
 *
 * @module
 */

import type { DType, Tensor } from "../backends/backend.ts";
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
    `Cannot use ${config.description}: ${key} is ${JSON.stringify(value)}, which is not ` +
      `supported, expected ${expected}`,
  );
}

/**
 * Checks the type and shape of an argument.
 *
 * @param what Function and argument, such as `VQModel.encode(): images`.
 * @param shape Expected lengths; a string stands for any length of at least 1 and names it.
 * @throws {TypeError} If it is of another type.
 * @throws {RangeError} If it is of another shape.
 */
export function expectTensor(
  what: string,
  tensor: Tensor<DType>,
  dtype: DType,
  shape: readonly (number | string)[],
): void {
  if (tensor?.dtype !== dtype) {
    throw new TypeError(`${what} is of type ${tensor?.dtype}, expected a tensor of ${dtype}`);
  }
  const fits = tensor.shape.length === shape.length &&
    shape.every((length, i) =>
      typeof length === "string" ? tensor.shape[i]! >= 1 : length === tensor.shape[i]
    );
  if (fits) return;
  throw new RangeError(
    `${what} has shape (${tensor.shape.join(", ")}), expected (${shape.join(", ")})`,
  );
}
