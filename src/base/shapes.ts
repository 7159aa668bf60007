/**
 * Shapes of arrays, outermost dimension first.
 *
 * @module
 */

/** What a shape has to be: a length, or the name of one that may be anything. */
export type ShapePattern = readonly (number | string)[];

/** Number of elements; NaN if a length is not a natural number or there are too many. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  let empty = false;
  for (const length of shape) {
    if (!Number.isSafeInteger(length) || length < 0) return NaN;
    if (length === 0) empty = true;
    else count *= length;
    if (!Number.isSafeInteger(count)) return NaN;
  }
  return empty ? 0 : count;
}

/** Whether a shape is what it has to be. */
export function fitsShape(shape: readonly number[], pattern: ShapePattern): boolean {
  return shape.length === pattern.length &&
    pattern.every((length, i) => typeof length === "string" || length === shape[i]);
}

/** Number of columns of a tensor: its last length. */
export function columnsOf({ shape }: { readonly shape: readonly number[] }): number {
  return shape.at(-1) ?? 1;
}

/** Number of rows of a tensor: the product of all lengths but the last. */
export function rowsOf({ shape }: { readonly shape: readonly number[] }): number {
  return elementCount(shape.slice(0, -1));
}
