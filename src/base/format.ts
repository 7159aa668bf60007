/**
 * Numbers for people.
 *
 * @module
 */

/** Bytes: `"1.5 GiB"`, `"12 KiB"`. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(1, bytes)) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** Most lengths of a shape that are shown. */
const MOST_DIMENSIONS = 16;

/** A shape: `"(2, 1024, 64)"`. One from a file may have any number of dimensions, and is cut. */
export function formatShape(shape: readonly (number | string)[]): string {
  const more = shape.length - MOST_DIMENSIONS;
  return `(${shape.slice(0, MOST_DIMENSIONS).join(", ")}${more > 0 ? `, … ${more} more` : ""})`;
}
