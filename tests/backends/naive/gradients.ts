// Operations of training, written to be read: float64 inside, rounded to float32 when stored. Slopes of
// functions are differences of their values, so that they owe nothing to anybody's calculus.

import type { Activation } from "../../../src/backends/backend.ts";
import type { LayerNormGradientInputs } from "../../../src/backends/recording.ts";
import { columnsOf } from "../../../src/base/shapes.ts";
import { type Floats, type Ints, type Naive, store } from "./arrays.ts";
import { activated } from "./linear.ts";
import { standardize } from "./norms.ts";
import { mapRows, sum } from "./rows.ts";

/**
 * The slope of a function of float64.
 *
 * @param step Half the distance of two arguments whose values are compared: errors of its square, 1e-9.
 */
export function slopeOf(f: (x: number) => number, x: number, step: number = 2 ** -15): number {
  return (f(x + step) - f(x - step)) / (2 * step);
}

/** A weight as the oracle holds it: (outFeatures, inFeatures). */
interface Packed {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly outFeatures: number;
  readonly inFeatures: number;
}

/** Stores a matrix, or its transpose, as a weight. */
export function pack(
  { values }: Floats,
  bias: Floats | undefined,
  transpose: boolean,
  { weight, bias: biasOut, outFeatures, inFeatures }: Packed,
): void {
  weight.forEach((_, at) => {
    const [out, column] = [Math.floor(at / inFeatures), at % inFeatures];
    weight[at] = values[transpose ? column * outFeatures + out : at]!;
  });
  biasOut.set(bias?.values ?? new Float32Array(outFeatures));
}

/** x + y. */
export function add(x: Floats, y: Floats, z: Floats): void {
  store(z, x.values.map((value, i) => value + y.values[i]!));
}

/** x · y. */
export function multiply(x: Floats, y: Floats, z: Floats): void {
  store(z, x.values.map((value, i) => value * y.values[i]!));
}

/** Row r is the sum of the rows of x whose id is r. */
export function scatterAdd(x: Floats, ids: Ints, y: Floats): void {
  const columns = columnsOf(x);
  const out = new Float64Array(y.values.length);
  const rowsEach = x.values.length / columns / ids.values.length;
  x.values.forEach((value, i) => {
    const id = ids.values[Math.floor(i / columns / rowsEach)]!;
    out[id * columns + i % columns]! += value;
  });
  store(y, Float32Array.from(out));
}

/** activation(x). */
export function activate(x: Floats, activation: Activation, y: Floats): void {
  store(y, x.values.map((value) => activated(value, activation)));
}

/** dy · activation′(x). */
export function activateGradient(
  x: Floats,
  dy: Floats,
  activation: Activation,
  dx: Floats,
): void {
  const f = (value: number) => activated(value, activation);
  store(dx, x.values.map((value, i) => dy.values[i]! * slopeOf(f, value)));
}

/** (dy · gelu(b), dy · a · gelu′(b)) for rows (a, b). */
export function gegluGradient(x: Floats, dy: Floats, dx: Floats): void {
  const half = columnsOf(x) / 2;
  const gelu = (value: number) => activated(value, "gelu");
  const out = mapRows(x.values, 2 * half, (row, r) =>
    row.map((_, c) => {
      const [a, b] = [row[c % half]!, row[half + c % half]!];
      return dy.values[r * half + c % half]! * (c < half ? gelu(b) : a * slopeOf(gelu, b));
    }));
  store(dx, out);
}

/** dy − exp(y) · Σ dy for each row. */
export function logSoftmaxGradient(y: Floats, dy: Floats, dx: Floats): void {
  const columns = columnsOf(y);
  const out = mapRows(dy.values, columns, (row, r) => {
    const total = sum(row);
    return row.map((value, c) => value - Math.exp(y.values[r * columns + c]!) * total);
  });
  store(dx, out);
}

/** Gradients by x, and for each row by factors and shifts. */
export function layerNormGradient(
  { x, dy, factors, timestep, eps }: LayerNormGradientInputs<Naive>,
  dx: Floats,
  affine: Floats,
): void {
  const columns = columnsOf(x);
  const rows = x.values.length / columns;
  const rowsEach = rows / (timestep?.values.length ?? 1);
  const factorOf = (r: number, c: number) =>
    timestep === undefined
      ? factors.values[c]!
      : 1 + factors.values[2 * columns * timestep.values[Math.floor(r / rowsEach)]! + c]!;
  const outAffine = new Float32Array(2 * x.values.length);
  const out = mapRows(x.values, columns, (row, r) => {
    const d = Float64Array.from(dy.values.subarray(r * columns, (r + 1) * columns));
    outAffine.set(standardize(row, eps).map((value, c) => value * d[c]!), 2 * r * columns);
    outAffine.set(d, (2 * r + 1) * columns);
    const scaled = d.map((value, c) => value * factorOf(r, c));
    return row.map((_, c) =>
      slopeOf((value) => {
        const moved = standardize(row.with(c, value), eps);
        return sum(moved.map((value, c) => value * scaled[c]!));
      }, row[c]!)
    );
  });
  store(dx, out);
  store(affine, outAffine);
}
