// Operations on rows, written to be read: float64 inside, rounded to float32 when stored.

import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Ints, store } from "./arrays.ts";
import { activated } from "./linear.ts";

/** table[id] (+ position[i mod positions]). */
export function embedding(
  ids: Ints,
  table: Floats,
  position: Floats | undefined,
  y: Floats,
): void {
  const columns = columnsOf(table);
  const out = new Float32Array(ids.values.length * columns);
  const positions = position === undefined ? 1 : position.values.length / columns;
  ids.values.forEach((id, i) => {
    for (let c = 0; c < columns; c++) {
      const added = position === undefined ? 0 : position.values[(i % positions) * columns + c]!;
      out[i * columns + c] = table.values[id * columns + c]! + added;
    }
  });
  store(y, out);
}

/** a · gelu(b) for rows (a, b). */
export function geglu(x: Floats, y: Floats): void {
  const columns = columnsOf(x);
  const half = columns / 2;
  const out = new Float32Array(x.values.length / 2);
  out.forEach((_, i) => {
    const row = Math.floor(i / half) * columns;
    out[i] = x.values[row + i % half]! * activated(x.values[row + half + i % half]!, "gelu");
  });
  store(y, out);
}

/** (b, r, c) → (b, c, r). */
export function transpose({ values: x, shape }: Floats, y: Floats): void {
  const [batch, rows, columns] = shape as [number, number, number];
  const out = new Float32Array(x.length);
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        out[(b * columns + c) * rows + r] = x[(b * rows + r) * columns + c]!;
      }
    }
  }
  store(y, out);
}

/** The whole of x, `times` times in a row. */
export function repeat({ values: x }: Floats | Ints, times: number, y: Floats | Ints): void {
  for (let i = 0; i < times; i++) y.values.set(x, i * x.length);
}

/** x / ‖x‖ for each row. */
export function normalizeRows(x: Floats, y: Floats): void {
  const normalized = mapRows(x.values, columnsOf(x), (row) => {
    const norm = Math.sqrt(sum(row.map((value) => value * value)));
    return row.map((value) => value / norm);
  });
  store(y, normalized);
}

/** Index of the nearest code for each row, the first of equals. */
export function nearestCode(x: Floats, codebook: Floats, y: Ints): void {
  codeDistances(x, codebook).forEach((distances, r) => {
    y.values[r] = distances.reduce((best, value, k) => value < distances[best]! ? k : best, 0);
  });
}

/** Squared distances of each row to all codes. */
export function codeDistances(x: Floats, codebook: Floats): Float64Array[] {
  const columns = columnsOf(codebook);
  return Array.from({ length: x.values.length / columns }, (_, r) => {
    const row = x.values.subarray(r * columns, (r + 1) * columns);
    return Float64Array.from({ length: codebook.values.length / columns }, (_, k) => {
      const code = codebook.values.subarray(k * columns, (k + 1) * columns);
      return row.reduce((total, value, c) => total + (value - code[c]!) ** 2, 0);
    });
  });
}

/** x − log Σ exp x for each row. */
export function logSoftmax(x: Floats, y: Floats): void {
  const normalized = mapRows(x.values, columnsOf(x), (row) => {
    const total = logSumExp(row);
    return row.map((value) => value - total);
  });
  store(y, normalized);
}

/** log Σ exp x; −∞ if all are. */
export function logSumExp(values: Float64Array): number {
  const max = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (max === -Infinity) return max;
  return max + Math.log(sum(values.map((value) => Math.exp(value - max))));
}

/** Applies a function of float64 rows to each row. */
export function mapRows(
  x: Float32Array,
  columns: number,
  f: (row: Float64Array, index: number) => Float64Array,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    out.set(f(Float64Array.from(x.subarray(start, start + columns)), start / columns), start);
  }
  return out;
}

/** Sum of the elements. */
export function sum(values: Float64Array): number {
  return values.reduce((a, b) => a + b, 0);
}
