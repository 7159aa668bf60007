// Gradients of group norms and of rows of length 1, written to be read: differences of float64 values.

import type { GroupNormInputs } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Naive, store } from "./arrays.ts";
import { slopeOf } from "./gradients.ts";
import { activated } from "./linear.ts";
import { groupsOf, standardize } from "./norms.ts";
import { mapRows, sum } from "./rows.ts";

/** Gradients by x, and for each image by the factors and shifts of channels. */
export function groupNormGradient(
  { x, weight, bias, groups, eps, silu }: GroupNormInputs<Naive>,
  dy: Floats,
  dx: Floats,
  affine: Floats,
): void {
  const channels = columnsOf(x);
  const f = (value: number) => activated(value, silu ? "silu" : "none");
  const out = new Float32Array(x.values.length);
  const affines = new Float64Array(affine.values.length);
  groupsOf(x, groups).forEach((indices, at) => {
    const group = Float64Array.from(indices, (i) => x.values[i]!);
    const gradients = Float64Array.from(indices, (i) => dy.values[i]!);
    const scaled = (value: number, i: number) => {
      const c = indices[i]! % channels;
      return value * weight.values[c]! + bias.values[c]!;
    };
    const firstAffine = 2 * channels * Math.floor(at / groups);
    standardize(group, eps).forEach((value, i) => {
      const slope = gradients[i]! * slopeOf(f, scaled(value, i));
      const c = indices[i]! % channels;
      affines[firstAffine + c]! += slope * value;
      affines[firstAffine + channels + c]! += slope;
    });
    const total = (values: Float64Array) =>
      sum(standardize(values, eps).map((value, i) => gradients[i]! * f(scaled(value, i))));
    group.forEach((value, i) => {
      out[indices[i]!] = slopeOf((moved) => total(group.with(i, moved)), value);
    });
  });
  store(dx, out);
  store(affine, Float32Array.from(affines));
}

/** Gradient of x / |x| by x, for each row. */
export function normalizeRowsGradient(x: Floats, dy: Floats, dx: Floats): void {
  const columns = columnsOf(x);
  const out = mapRows(x.values, columns, (row, r) => {
    const gradients = dy.values.subarray(r * columns, (r + 1) * columns);
    const total = (values: Float64Array) => {
      const norm = Math.sqrt(sum(values.map((value) => value * value)));
      return sum(values.map((value, c) => gradients[c]! * value / norm));
    };
    return row.map((value, c) => slopeOf((moved) => total(row.with(c, moved)), value));
  });
  store(dx, out);
}
