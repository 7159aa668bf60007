// Operations on rows, written to be read: float64 inside, rounded to float32 when stored.

/** table[id] (+ position[i mod positions]). */
export function embedding(
  ids: Int32Array,
  table: Float32Array,
  columns: number,
  position?: Float32Array,
): Float32Array {
  const out = new Float32Array(ids.length * columns);
  const positions = position === undefined ? 1 : position.length / columns;
  ids.forEach((id, i) => {
    for (let c = 0; c < columns; c++) {
      const added = position === undefined ? 0 : position[(i % positions) * columns + c]!;
      out[i * columns + c] = table[id * columns + c]! + added;
    }
  });
  return out;
}

/** (b, r, c) → (b, c, r). */
export function transpose(x: Float32Array, batch: number, rows: number, columns: number) {
  const out = new Float32Array(x.length);
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        out[(b * columns + c) * rows + r] = x[(b * rows + r) * columns + c]!;
      }
    }
  }
  return out;
}

/** The whole of x, `times` times in a row, into `out`. */
export function repeat<T extends Float32Array | Int32Array>(x: T, times: number, out: T): void {
  for (let i = 0; i < times; i++) out.set(x, i * x.length);
}

/** x / ‖x‖ for each row. */
export function normalizeRows(x: Float32Array, columns: number): Float32Array {
  return mapRows(x, columns, (row) => {
    const norm = Math.sqrt(sum(row.map((value) => value * value)));
    return row.map((value) => value / norm);
  });
}

/** Index of the nearest code for each row and its squared distances to all codes. */
export function nearestCode(
  x: Float32Array,
  codebook: Float32Array,
  columns: number,
): { indices: Int32Array; distances: Float64Array } {
  const rows = x.length / columns;
  const codes = codebook.length / columns;
  const indices = new Int32Array(rows);
  const distances = new Float64Array(rows * codes);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < codes; k++) {
      let distance = 0;
      for (let c = 0; c < columns; c++) {
        distance += (x[r * columns + c]! - codebook[k * columns + c]!) ** 2;
      }
      distances[r * codes + k] = distance;
      if (distance < distances[r * codes + indices[r]!]!) indices[r] = k;
    }
  }
  return { indices, distances };
}

/** x − log Σ exp x for each row. */
export function logSoftmax(x: Float32Array, columns: number): Float32Array {
  return mapRows(x, columns, (row) => {
    const total = logSumExp(row);
    return row.map((value) => value - total);
  });
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
