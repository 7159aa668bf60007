// Normalisations, written to be read: float64 inside, rounded to float32 when stored.

import { activate } from "./linear.ts";
import { mapRows, sum } from "./rows.ts";

/** (x − mean) / sqrt(variance + eps) · weight + bias for each row. */
export function layerNorm(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  eps: number,
): Float32Array {
  return mapRows(
    x,
    weight.length,
    (row) => standardize(row, eps).map((value, c) => value * weight[c]! + bias[c]!),
  );
}

/** (x − mean) / sqrt(variance + eps) · (1 + scale) + shift for each row. */
export function adaLayerNorm(
  x: Float32Array,
  columns: number,
  table: Float32Array,
  timestep: number,
  eps: number,
): Float32Array {
  const scales = table.subarray(2 * columns * timestep);
  const shifts = scales.subarray(columns);
  return mapRows(
    x,
    columns,
    (row) => standardize(row, eps).map((value, c) => value * (1 + scales[c]!) + shifts[c]!),
  );
}

/** Normalises groups of channels over all pixels of an image: x is (batch, pixels, channels). */
export function groupNorm(
  x: Float32Array,
  shape: { batch: number; pixels: number; channels: number },
  options: {
    weight: Float32Array;
    bias: Float32Array;
    groups: number;
    eps: number;
    silu: boolean;
  },
): Float32Array {
  const { batch, pixels, channels } = shape;
  const size = channels / options.groups;
  const out = new Float32Array(x.length);
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < options.groups; g++) {
      const index = (i: number) =>
        (b * pixels + Math.floor(i / size)) * channels + g * size + i % size;
      const group = Float64Array.from({ length: pixels * size }, (_, i) => x[index(i)]!);
      standardize(group, options.eps).forEach((value, i) => {
        const c = index(i) % channels;
        const y = value * options.weight[c]! + options.bias[c]!;
        out[index(i)] = activate(y, options.silu ? "silu" : "none");
      });
    }
  }
  return out;
}

/** (x − mean) / sqrt(variance + eps). */
function standardize(values: Float64Array, eps: number): Float64Array {
  const mean = sum(values) / values.length;
  const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length;
  return values.map((value) => (value - mean) / Math.sqrt(variance + eps));
}
