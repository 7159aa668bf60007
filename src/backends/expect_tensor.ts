/**
 * Checks of the tensors that callers hand to models and schedulers.
 *
 * @module
 */

import type { DType, Tensor } from "./backend.ts";
import { formatShape } from "../base/format.ts";
import { fitsShape, type ShapePattern } from "../base/shapes.ts";

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
  tensor: Tensor<DType> | undefined,
  dtype: DType,
  shape: ShapePattern,
): void {
  if (tensor?.dtype !== dtype) {
    throw new TypeError(`${what} is of type ${tensor?.dtype}, expected a tensor of ${dtype}`);
  }
  if (fitsShape(tensor.shape, shape) && !tensor.shape.includes(0)) return;
  throw new RangeError(
    `${what} has shape ${formatShape(tensor.shape)}, expected ${formatShape(shape)}`,
  );
}
