// Normalisations, written to be read: float64 inside, rounded to float32 when stored.

import type { AdaLayerNormOptions, LayerNormOptions } from "../../../src/backends/backend.ts";
import type { Checked, GroupNormInputs } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Naive, store } from "./arrays.ts";
import { activated } from "./linear.ts";
import { mapRows, sum } from "./rows.ts";

/** (x − mean) / sqrt(variance + eps) · weight + bias for each row. */
export function layerNorm(
  x: Floats,
  { weight: { values: weight }, bias: { values: bias }, eps }: Checked<LayerNormOptions, Naive>,
  y: Floats,
): void {
  const normalize = (row: Float64Array) =>
    standardize(row, eps).map((value, c) => value * weight[c]! + bias[c]!);
  store(y, mapRows(x.values, columnsOf(x), normalize));
}

/** (x − mean) / sqrt(variance + eps) · (1 + scale) + shift for each row. */
export function adaLayerNorm(
  x: Floats,
  { table, timestep, eps }: Checked<AdaLayerNormOptions, Naive>,
  y: Floats,
): void {
  const columns = columnsOf(x);
  const rowsEach = x.values.length / columns / timestep.values.length;
  const normalize = (row: Float64Array, r: number) => {
    const scales = table.values.subarray(2 * columns * timestep.values[Math.floor(r / rowsEach)]!);
    const shifts = scales.subarray(columns);
    return standardize(row, eps).map((value, c) => value * (1 + scales[c]!) + shifts[c]!);
  };
  store(y, mapRows(x.values, columns, normalize));
}

/** Normalises groups of channels over all pixels of an image: (batch, height, width, channels). */
export function groupNorm(
  { x, weight, bias, groups, eps, silu }: GroupNormInputs<Naive>,
  y: Floats,
): void {
  const channels = columnsOf(x);
  const out = new Float32Array(x.values.length);
  for (const indices of groupsOf(x, groups)) {
    const group = Float64Array.from(indices, (i) => x.values[i]!);
    standardize(group, eps).forEach((value, i) => {
      const c = indices[i]! % channels;
      const scaled = value * weight.values[c]! + bias.values[c]!;
      out[indices[i]!] = activated(scaled, silu ? "silu" : "none");
    });
  }
  store(y, out);
}

/** For each image and group the indices of its elements, pixel by pixel. */
export function groupsOf({ shape }: Floats, groups: number): number[][] {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const pixels = height * width;
  const size = channels / groups;
  return Array.from({ length: batch * groups }, (_, at) => {
    const [b, g] = [Math.floor(at / groups), at % groups];
    const index = (i: number) =>
      (b * pixels + Math.floor(i / size)) * channels + g * size + i % size;
    return Array.from({ length: pixels * size }, (_, i) => index(i));
  });
}

/** (x − mean) / sqrt(variance + eps). */
export function standardize(values: Float64Array, eps: number): Float64Array {
  const mean = sum(values) / values.length;
  const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length;
  return values.map((value) => (value - mean) / Math.sqrt(variance + eps));
}
