/**
 * Checks of the tensors that callers hand to models and schedulers.
 *
 * @module
 */

import type { DType, Tensor } from "./backend.ts";

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
